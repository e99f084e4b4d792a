import { describe, expect, it } from 'vitest'
import { ended } from './fake-server.ts'
import type { ProviderKit } from './kit.ts'
import { against, ask, never, type Outcome, read, text } from './reading.ts'
import { request } from './requests.ts'

/** Aborts, and gives the stream 50 ms to end. */
async function abortAndWait(controller: AbortController, running: Promise<Outcome>): Promise<Outcome | 'late'> {
  controller.abort(new Error('kit-reason'))
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, 50, 'late')
  })
  return Promise.race([running, late]).finally(() => clearTimeout(timer))
}

export function describeAborts(kit: ProviderKit): void {
  const [run, get] = [against(kit), ask(kit)]

  describe('when it is aborted', () => {
    it('sends nothing if that was before', () =>
      run({ kind: 'answer', items: [text('x')], end: ended() }, async (server) => {
        const { parts, error } = await get(server, request, AbortSignal.abort(new Error('kit-reason')))
        expect(parts).toEqual([])
        expect(error).toMatchObject({ message: 'kit-reason' })
        expect(server.received()).toEqual([])
      }))

    it('stops within 50 ms in the middle of a stream, and hangs up', () =>
      run({ kind: 'stalled', chunks: ['so', ' far'] }, async (server) => {
        const controller = new AbortController()
        const heard = Promise.withResolvers<void>()
        let said = ''
        const running = read(server.provider.stream(kit.model, request, controller.signal), (part) => {
          if (part.type === 'text') said += part.text
          if (said === 'so far') heard.resolve()
        })
        await heard.promise
        const outcome = await abortAndWait(controller, running)
        expect(outcome).toMatchObject({ error: { message: 'kit-reason' } })
        await server.left
      }))

    it('stops within 50 ms while the server has not answered at all, and hangs up', () =>
      run({ kind: 'silent' }, async (server) => {
        const controller = new AbortController()
        const running = get(server, request, controller.signal)
        await expect.poll(() => server.received().length, { timeout: 10_000 }).toBe(1)
        const outcome = await abortAndWait(controller, running)
        expect(outcome).toMatchObject({ parts: [], error: { message: 'kit-reason' } })
        await server.left
      }))

    it('hangs up when the caller stops reading', () =>
      run({ kind: 'stalled', chunks: ['so', ' far'] }, async (server) => {
        for await (const part of server.provider.stream(kit.model, request, never)) if (part.type === 'text') break
        await server.left
      }))
  })
}
