import { expect, it } from 'vitest'
import { ended } from './fake-server.ts'
import type { ProviderKit } from './kit.ts'
import { against, ask, text } from './reading.ts'
import { conversation, request } from './requests.ts'

/** What is sent. */
export function describeAsking(kit: ProviderKit): void {
  const [run, get] = [against(kit), ask(kit)]
  const answer = { kind: 'answer', items: [text('x')], end: ended() } as const

  it('sends instructions, history, tools and the limit, and says a thing once', () =>
    run(answer, async (server) => {
      await get(server, { ...request, messages: conversation })
      const [body] = server.received()
      const sent = JSON.stringify(body)
      for (const word of ['instructions', 'first', 'reply', 'call-1', 'argument', 'output', 'problem', 'last']) {
        expect(sent, word).toContain(`kit-${word}`)
      }
      expect(sent).toContain('kit_lookup')
      expect(sent).toContain('kit-description')
      expect(sent).toContain('321')
      expect(sent).toContain(kit.model)
      expect(sent.split('kit-last')).toHaveLength(2)
    }))

  it('sends a history whose arguments are broken without the broken text', () =>
    run(answer, async (server) => {
      await get(server, { ...request, messages: conversation })
      expect(JSON.stringify(server.received())).not.toContain('{broken')
    }))

  const images = kit.images ?? 'none'
  if (images !== 'none') {
    it('sends an image by its bytes, after the text before it', () =>
      run(answer, async (server) => {
        const parts = [
          { type: 'text', text: 'kit-look' },
          { type: 'image', mediaType: 'image/png', data: 'a2l0LWltYWdl' },
        ] as const
        await get(server, { ...request, messages: [{ role: 'user', parts }] })
        const sent = JSON.stringify(server.received())
        expect(sent).toContain('image/png')
        expect(sent.indexOf('a2l0LWltYWdl')).toBeGreaterThan(sent.indexOf('kit-look'))
      }))
  }
  if (images === 'data-and-url') {
    it('sends an image by its address', () =>
      run(answer, async (server) => {
        const parts = [{ type: 'image', url: 'https://kit.example/picture.png' }] as const
        await get(server, { ...request, messages: [{ role: 'user', parts }] })
        expect(JSON.stringify(server.received())).toContain('https://kit.example/picture.png')
      }))
  }
  if (kit.output === true) {
    it('sends the schema of the answer', () =>
      run(answer, async (server) => {
        const schema = { type: 'object', properties: { kit_field: { type: 'string' } }, required: ['kit_field'] }
        await get(server, { ...request, output: { name: 'kit_answer', schema } })
        const sent = JSON.stringify(server.received())
        expect(sent).toContain('kit_field')
      }))
  }
}
