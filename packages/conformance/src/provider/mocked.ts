import type { LLMock } from '@copilotkit/aimock'
import { describe, expect, it } from 'vitest'
import type { ProviderKit } from './kit.ts'
import { ask, callsIn, failureIn, type Outcome, textIn } from './reading.ts'
import { usage as allBuckets } from './requests.ts'

/** The same against a mock server that somebody else has written, with the faults it can be told to make. */
export function describeMocked(kit: ProviderKit): void {
  const { aimock } = kit
  if (aimock === undefined) return
  const get = ask(kit)
  const against = async (prepare: (mock: LLMock) => void, run: (outcome: Outcome) => void): Promise<void> => {
    const { LLMock } = await import('@copilotkit/aimock')
    const mock = new LLMock({ port: 0, logLevel: 'silent' })
    prepare(mock)
    await mock.start()
    try {
      run(await get({ provider: kit.provider(mock.url) }))
    } finally {
      await mock.stop()
    }
  }
  const chunkSize = 4
  const content = 'One, two, three and four.'

  describe('against aimock', () => {
    it('streams a text', () =>
      against(
        (mock) => mock.on({}, { content }, { chunkSize }),
        ({ parts, error }) => {
          expect(error).toBeUndefined()
          expect(textIn(parts)).toBe(content)
          expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'stop' })
        },
      ))

    if (aimock.usage) {
      const usage = kit.usage ?? allBuckets
      const counted = aimock.usage(usage)
      it('reports usage to the token', () =>
        against(
          (mock) => mock.on({}, { content, usage: counted }),
          ({ parts }) => expect(parts.at(-1)).toMatchObject({ usage }),
        ))
    }

    it('makes parallel calls between texts', () => {
      const calls = [
        { id: 'call_a', name: 'kit_lookup', arguments: '{"key":"ä"}' },
        { id: 'call_b', name: 'kit_other', arguments: '{"key":[1,{"deep":true}]}' },
      ]
      const blocks = [
        { type: 'text' as const, text: 'First.' },
        ...calls.map((call) => ({ type: 'toolCall' as const, ...call })),
        { type: 'text' as const, text: ' Last.' },
      ]
      return against(
        (mock) => mock.on({}, { blocks }, { chunkSize }),
        ({ parts, error }) => {
          expect(error).toBeUndefined()
          expect(textIn(parts)).toBe('First. Last.')
          expect(callsIn(parts)).toEqual(
            calls.map(({ id, name, arguments: args }) => ({
              type: 'tool-call',
              call: id,
              tool: name,
              arguments: args,
            })),
          )
          expect(parts.at(-1)).toMatchObject({ reason: 'tool-calls' })
        },
      )
    })

    it('waits for a slow first token', () =>
      against(
        (mock) => mock.on({}, { content }, { streamingProfile: { ttft: 200 } }),
        ({ parts }) => expect(textIn(parts)).toBe(content),
      ))

    it('bears latency', () =>
      against(
        (mock) => mock.on({}, { content }).setChaos({ latencyMs: 100 }),
        ({ parts }) => expect(textIn(parts)).toBe(content),
      ))

    it('fails after what was said when the stream is cut', () =>
      against(
        (mock) => mock.on({}, { content }, { chunkSize: 1, truncateAfterChunks: 12 }),
        (outcome) => {
          expect(content.startsWith(textIn(outcome.parts))).toBe(true)
          expect(textIn(outcome.parts)).not.toBe(content)
          failureIn(outcome, ['network', 'malformed'])
        },
      ))

    it('knows a dropped request', () =>
      against(
        (mock) => mock.on({}, { content }).setChaos({ dropRate: 1 }),
        (outcome) => failureIn(outcome, 'server'),
      ))

    it('knows an answer that cannot be parsed', () =>
      against(
        (mock) => mock.on({}, { content }).setChaos({ malformedRate: 1 }),
        (outcome) => failureIn(outcome, 'malformed'),
      ))

    it('knows a connection that is closed without an answer', () =>
      against(
        (mock) => mock.on({}, { content }).setChaos({ disconnectRate: 1 }),
        (outcome) => failureIn(outcome, 'network'),
      ))

    it('knows a rate limit, and how long to wait', () =>
      against(
        (mock) => mock.on({}, { content }).setChaos({ rateLimitRate: 1 }),
        (outcome) => expect(failureIn(outcome, 'rate-limit').retryAfterMs).toBeGreaterThan(0),
      ))

    it('passes on the wait that is asked for', () =>
      against(
        (mock) =>
          mock.on({}, { error: { message: 'slow down', type: 'rate_limit_error' }, status: 429, retryAfter: 9 }),
        (outcome) => expect(failureIn(outcome, 'rate-limit').retryAfterMs).toBe(9_000),
      ))
  })
}
