import type { FailureClass, ModelPart } from '@keelson/core'
import { describe, expect, it } from 'vitest'
import type { FakeAnswer, FakeCall, FakeServer, ProviderKit } from './provider/fake-server.ts'
import { conversation, request, usage } from './provider/requests.ts'

export type { FakeAnswer, FakeServer, ProviderKit } from './provider/fake-server.ts'

interface Outcome {
  readonly parts: readonly ModelPart[]
  readonly error: unknown
}

/** Reads a stream to its end, however it ends. */
async function read(stream: AsyncIterable<ModelPart>, onPart?: (part: ModelPart) => void): Promise<Outcome> {
  const parts: ModelPart[] = []
  try {
    for await (const part of stream) {
      parts.push(part)
      onPart?.(part)
    }
    return { parts, error: undefined }
  } catch (error) {
    return { parts, error }
  }
}

const textIn = (parts: readonly ModelPart[]): string =>
  parts.map((part) => (part.type === 'text' ? part.text : '')).join('')

const typesIn = (parts: readonly ModelPart[]): readonly string[] => [...new Set(parts.map(({ type }) => type))]

const never = new AbortController().signal

/**
 * Tests of what every provider promises to the runtime. Registers one `describe`; call it at the top of a test file.
 * Each test starts its own fake server through the kit and closes it.
 */
export function describeProvider(name: string, kit: ProviderKit): void {
  const against = async (answer: FakeAnswer, run: (server: FakeServer) => Promise<void>): Promise<void> => {
    const server = await kit.serve(answer)
    try {
      await run(server)
    } finally {
      await server.close()
    }
  }
  const ask = ({ provider }: FakeServer, signal = never, asked = request) =>
    read(provider.stream(kit.model, asked, signal))
  const failureIn = ({ error }: Outcome, failure: FailureClass | readonly FailureClass[]) => {
    expect(error).toMatchObject({ name: 'ModelFailure', failure: expect.toBeOneOf([failure].flat()) })
    return error as { message: string; retryAfterMs?: number }
  }

  describe(`provider ${name}`, () => {
    it('streams text in order and ends with one finish', () =>
      against({ kind: 'text', chunks: ['Grüße', ' aus', ' 東京', ' 🎌'], usage }, async (server) => {
        const { parts, error } = await ask(server)
        expect(error).toBeUndefined()
        expect(textIn(parts)).toBe('Grüße aus 東京 🎌')
        expect(parts.filter(({ type }) => type === 'text').length).toBeGreaterThan(1)
        expect(parts.filter(({ type }) => type === 'finish')).toHaveLength(1)
        expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'stop' })
      }))

    it('reports usage to the token, in disjoint buckets', () =>
      against({ kind: 'text', chunks: ['x'], usage }, async (server) => {
        expect((await ask(server)).parts.at(-1)).toMatchObject({ usage })
      }))

    it('gives text first, then each parallel call whole', () => {
      const calls: readonly FakeCall[] = [
        { call: 'call_a', tool: 'kit_lookup', arguments: '{"key":"ä\\"{}"}' },
        { call: 'call_b', tool: 'kit_lookup', arguments: '{"key":[1,2,{"deep":true}]}' },
        { call: 'call_c', tool: 'kit_other', arguments: '{}' },
      ]
      return against({ kind: 'tools', text: 'Let me look.', calls, usage }, async (server) => {
        const { parts, error } = await ask(server)
        expect(error).toBeUndefined()
        expect(typesIn(parts)).toEqual(['text', 'tool-call', 'finish'])
        expect(textIn(parts)).toBe('Let me look.')
        expect(parts.filter(({ type }) => type === 'tool-call')).toEqual(
          calls.map((call) => ({ type: 'tool-call', ...call })),
        )
        expect(parts.at(-1)).toMatchObject({ reason: 'tool-calls', usage })
      })
    })

    it('gives calls without any text', () => {
      const call = { call: 'call_a', tool: 'kit_lookup', arguments: '{"key":1}' }
      return against({ kind: 'tools', text: '', calls: [call], usage }, async (server) => {
        const { parts } = await ask(server)
        expect(parts).toEqual([
          { type: 'tool-call', ...call },
          { type: 'finish', reason: 'tool-calls', usage },
        ])
      })
    })

    it('finishes an empty answer', () =>
      against({ kind: 'text', chunks: [], usage }, async (server) => {
        const { parts, error } = await ask(server)
        expect(error).toBeUndefined()
        expect(textIn(parts)).toBe('')
        expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'stop' })
      }))

    it('waits for a slow first token', () =>
      against({ kind: 'slow', ms: 300, chunks: ['at', ' last'] }, async (server) => {
        expect(textIn((await ask(server)).parts)).toBe('at last')
      }))

    it('sends instructions, history, tools and the limit, and says a thing once', () =>
      against({ kind: 'text', chunks: ['x'], usage }, async (server) => {
        await ask(server, never, { ...request, messages: conversation })
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
      against({ kind: 'text', chunks: ['x'], usage }, async (server) => {
        await ask(server, never, { ...request, messages: conversation })
        expect(JSON.stringify(server.received())).not.toContain('{broken')
      }))

    it('keeps two streams at once apart', () =>
      against({ kind: 'text', chunks: ['one', ' two', ' three'], usage }, async (server) => {
        const outcomes = await Promise.all([ask(server), ask(server), ask(server)])
        expect(outcomes.map(({ parts }) => textIn(parts))).toEqual(Array(3).fill('one two three'))
      }))

    for (const failure of kit.failures) {
      it(`calls a refusal "${failure}" by its name, once, without the key`, () =>
        against({ kind: 'failure', failure, retryAfter: null }, async (server) => {
          const outcome = await ask(server)
          expect(outcome.parts).toEqual([])
          const { message } = failureIn(outcome, failure)
          expect(message).not.toContain(kit.secret)
          expect(JSON.stringify(outcome.error)).not.toContain(kit.secret)
          expect(message.length).toBeGreaterThan(0)
          // Retries are the runtime's business: it knows the budget, the breaker and the other models.
          expect(server.received()).toHaveLength(1)
        }))
    }

    it('passes on how long to wait, in seconds', () =>
      against({ kind: 'failure', failure: 'rate-limit', retryAfter: '7' }, async (server) => {
        expect(failureIn(await ask(server), 'rate-limit').retryAfterMs).toBe(7000)
      }))

    it('passes on how long to wait, as a date', () => {
      const retryAfter = new Date(Date.now() + 3_600_000).toUTCString()
      return against({ kind: 'failure', failure: 'overload', retryAfter }, async (server) => {
        const { retryAfterMs = 0 } = failureIn(await ask(server), 'overload')
        expect(retryAfterMs).toBeGreaterThan(1_800_000)
        expect(retryAfterMs).toBeLessThanOrEqual(3_600_000)
      })
    })

    it('passes on no wait that makes no sense', () =>
      against({ kind: 'failure', failure: 'rate-limit', retryAfter: 'soon' }, async (server) => {
        expect(failureIn(await ask(server), 'rate-limit').retryAfterMs).toBeUndefined()
      }))

    it('fails after what was said when the connection is lost', () =>
      against({ kind: 'cut', chunks: ['so', ' far'] }, async (server) => {
        let text = ''
        const outcome = await read(server.provider.stream(kit.model, request, never), (part) => {
          if (part.type === 'text') text += part.text
          if (text === 'so far') server.lose()
        })
        expect(typesIn(outcome.parts)).toEqual(['text'])
        failureIn(outcome, ['network', 'malformed'])
      }))

    it('fails after what was said when a piece cannot be parsed', () =>
      against({ kind: 'malformed', chunks: ['so', ' far'] }, async (server) => {
        const outcome = await ask(server)
        expect(textIn(outcome.parts)).toBe('so far')
        expect(typesIn(outcome.parts)).toEqual(['text'])
        failureIn(outcome, 'malformed')
      }))

    it('takes a page instead of a stream for nonsense', () =>
      against({ kind: 'page' }, async (server) => {
        const outcome = await ask(server)
        expect(outcome.parts).toEqual([])
        failureIn(outcome, 'malformed')
      }))

    it('calls it a network failure when nobody listens', () =>
      against({ kind: 'absent' }, async (server) => void failureIn(await ask(server), 'network')))

    describe('when it is aborted', () => {
      /** Aborts, and gives the stream 50 ms to end. */
      const abortAndWait = async (
        controller: AbortController,
        running: Promise<Outcome>,
      ): Promise<Outcome | 'late'> => {
        controller.abort(new Error('kit-reason'))
        let timer: NodeJS.Timeout | undefined
        const late = new Promise<'late'>((resolve) => {
          timer = setTimeout(resolve, 50, 'late')
        })
        return Promise.race([running, late]).finally(() => clearTimeout(timer))
      }

      it('sends nothing if that was before', () =>
        against({ kind: 'text', chunks: ['x'], usage }, async (server) => {
          const { parts, error } = await ask(server, AbortSignal.abort(new Error('kit-reason')))
          expect(parts).toEqual([])
          expect(error).toMatchObject({ message: 'kit-reason' })
          expect(server.received()).toEqual([])
        }))

      it('stops within 50 ms in the middle of a stream, and hangs up', () =>
        against({ kind: 'stalled', chunks: ['so', ' far'] }, async (server) => {
          const controller = new AbortController()
          const heard = Promise.withResolvers<void>()
          let text = ''
          const running = read(server.provider.stream(kit.model, request, controller.signal), (part) => {
            if (part.type === 'text') text += part.text
            if (text === 'so far') heard.resolve()
          })
          await heard.promise
          const outcome = await abortAndWait(controller, running)
          expect(outcome).toMatchObject({ error: { message: 'kit-reason' } })
          await server.left
        }))

      it('stops within 50 ms while the server has not answered at all, and hangs up', () =>
        against({ kind: 'silent' }, async (server) => {
          const controller = new AbortController()
          const running = ask(server, controller.signal)
          await expect.poll(() => server.received().length, { timeout: 10_000 }).toBe(1)
          const outcome = await abortAndWait(controller, running)
          expect(outcome).toMatchObject({ parts: [], error: { message: 'kit-reason' } })
          await server.left
        }))

      it('hangs up when the caller stops reading', () =>
        against({ kind: 'stalled', chunks: ['so', ' far'] }, async (server) => {
          for await (const part of server.provider.stream(kit.model, request, never)) if (part.type === 'text') break
          await server.left
        }))
    })
  })
}
