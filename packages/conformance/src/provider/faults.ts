import type { FailureClass } from '@keelson/core'
import { expect, it } from 'vitest'
import { nobodyListens } from './fake-server.ts'
import type { ProviderKit } from './kit.ts'
import { against, ask, failureIn, never, type Outcome, read, textIn, typesIn } from './reading.ts'
import { request } from './requests.ts'

const classes: readonly FailureClass[] = [
  'rate-limit',
  'overload',
  'server',
  'timeout',
  'auth',
  'billing',
  'context-too-long',
  'content-refused',
  'bad-request',
]

const page = '<html><body>It works!</body></html>'

/** What becomes of a server, or a way to it, that fails. */
export function describeFaults(kit: ProviderKit): void {
  const [run, get] = [against(kit), ask(kit)]
  const withoutSecret = (outcome: Outcome, message: string) => {
    expect(message).not.toContain(kit.secret)
    expect(JSON.stringify(outcome.error)).not.toContain(kit.secret)
    expect(message.length).toBeGreaterThan(0)
  }

  for (const failure of classes) {
    if (kit.wire.failure(failure, '') !== null) {
      it(`calls a refusal "${failure}" by its name, once, without the key`, () =>
        run({ kind: 'failure', failure, retryAfter: null }, async (server) => {
          const outcome = await get(server)
          expect(outcome.parts).toEqual([])
          withoutSecret(outcome, failureIn(outcome, failure).message)
          // Retries are the runtime's business: it knows the budget, the breaker and the other models.
          expect(server.received()).toHaveLength(1)
        }))
    }
    if (kit.wire.streamFailure(failure, '') !== null) {
      it(`calls a failure "${failure}" by its name after what was said`, () =>
        run({ kind: 'stream-failure', failure, chunks: ['so', ' far'] }, async (server) => {
          const outcome = await get(server)
          expect(textIn(outcome.parts)).toBe('so far')
          expect(typesIn(outcome.parts)).toEqual(['text'])
          withoutSecret(outcome, failureIn(outcome, failure).message)
        }))
    }
  }

  it('passes on how long to wait, in seconds', () =>
    run({ kind: 'failure', failure: 'rate-limit', retryAfter: '7' }, async (server) => {
      expect(failureIn(await get(server), 'rate-limit').retryAfterMs).toBe(7000)
    }))

  it('passes on how long to wait, as a date', () => {
    const retryAfter = new Date(Date.now() + 3_600_000).toUTCString()
    return run({ kind: 'failure', failure: 'overload', retryAfter }, async (server) => {
      const { retryAfterMs = 0 } = failureIn(await get(server), 'overload')
      expect(retryAfterMs).toBeGreaterThan(1_800_000)
      expect(retryAfterMs).toBeLessThanOrEqual(3_600_000)
    })
  })

  it('passes on no wait that makes no sense', () =>
    run({ kind: 'failure', failure: 'rate-limit', retryAfter: 'soon' }, async (server) => {
      expect(failureIn(await get(server), 'rate-limit').retryAfterMs).toBeUndefined()
    }))

  it('fails after what was said when the connection is lost', () =>
    run({ kind: 'cut', chunks: ['so', ' far'] }, async (server) => {
      let text = ''
      const outcome = await read(server.provider.stream(kit.model, request, never), (part) => {
        if (part.type === 'text') text += part.text
        if (text === 'so far') server.lose()
      })
      expect(typesIn(outcome.parts)).toEqual(['text'])
      failureIn(outcome, ['network', 'malformed'])
    }))

  it('fails after what was said when the answer is not finished', () =>
    run({ kind: 'unfinished', chunks: ['so', ' far'] }, async (server) => {
      const outcome = await get(server)
      expect(textIn(outcome.parts)).toBe('so far')
      expect(typesIn(outcome.parts)).toEqual(['text'])
      failureIn(outcome, ['network', 'malformed'])
    }))

  it('fails after what was said when a piece cannot be parsed', () =>
    run({ kind: 'malformed', chunks: ['so', ' far'] }, async (server) => {
      const outcome = await get(server)
      expect(textIn(outcome.parts)).toBe('so far')
      expect(typesIn(outcome.parts)).toEqual(['text'])
      failureIn(outcome, 'malformed')
    }))

  it('hangs up on a line that has no end', () =>
    run({ kind: 'endless', chunks: ['so', ' far'] }, async (server) => {
      const outcome = await get(server)
      expect(textIn(outcome.parts)).toBe('so far')
      expect(failureIn(outcome, 'malformed').message.length).toBeLessThan(1_000)
      await server.left
    }))

  it.each(['text/html', 'application/json', 'text/plain'])(
    'takes %s instead of a stream for nonsense',
    (contentType) => {
      const body = contentType === 'application/json' ? '{"kit":"nothing"}' : page
      return run({ kind: 'page', status: 200, contentType, body }, async (server) => {
        const outcome = await get(server)
        expect(outcome.parts).toEqual([])
        failureIn(outcome, 'malformed')
      })
    },
  )

  it.each<readonly [number, FailureClass]>([
    [401, 'auth'],
    [404, 'bad-request'],
    [502, 'server'],
    [503, 'overload'],
  ])('goes by the status when a proxy answers %s with a page of its own', (status, failure) =>
    run({ kind: 'page', status, contentType: 'text/html', body: page }, async (server) => {
      const outcome = await get(server)
      const { message } = failureIn(outcome, failure)
      expect(message).not.toContain('<html')
      expect(message).toContain(String(status))
    }),
  )

  it('calls it a network failure when nobody listens', async () => {
    failureIn(await get({ provider: await nobodyListens(kit) }), 'network')
  })

  it('calls it a network failure when the server does not speak TLS', () =>
    run({ kind: 'silent' }, async ({ origin }) => {
      const provider = kit.provider(origin.replace('http:', 'https:'))
      failureIn(await get({ provider }), 'network')
    }))
}
