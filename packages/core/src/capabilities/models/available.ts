import type { Clock } from '../../kernel/clock.ts'
import type { ProviderOffer } from './contract.ts'
import { isModelFailure, type Provider } from './provider.ts'

const longestMs = 8_000
/** Of one provider; gateways list thousands. */
const mostModels = 10_000
const unreachable: ReadonlySet<string> = new Set(['network', 'timeout'])

/** Asks one provider what it offers, with the key that `keyed` gives it; never rejects. `registered` are the ids that are known of it without asking. */
export async function offerOf(
  provider: Provider,
  keyed: () => Promise<Provider>,
  registered: readonly string[],
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<ProviderOffer> {
  const offer = { provider: provider.id, models: sorted(registered), error: null } as const
  if (provider.discover === undefined) return { ...offer, status: registered.length > 0 ? 'ok' : 'skipped' }
  const aborter = new AbortController()
  const timedOut = Promise.withResolvers<never>()
  const giveUp = (reason: string) => {
    timedOut.reject(reason)
    aborter.abort()
  }
  const cancelTimer = clock.after(longestMs, () => giveUp('timeout'))
  const gone = () => giveUp('cancelled')
  signal?.addEventListener('abort', gone, { once: true })
  try {
    if (signal?.aborted) gone()
    // A provider that ignores its signal is not waited for.
    const asking = keyed().then(async (asked) => (asked.discover ? await asked.discover(aborter.signal) : []))
    const found = await Promise.race([asking, timedOut.promise])
    const ids = found.slice(0, mostModels).map(({ name }) => idOf(provider.id, name))
    return { ...offer, status: 'ok', models: sorted([...registered, ...ids]) }
  } catch (error) {
    const word = typeof error === 'string' ? error : isModelFailure(error) ? error.failure : 'server'
    return { ...offer, status: unreachable.has(word) ? 'unreachable' : 'error', error: word }
  } finally {
    cancelTimer()
    signal?.removeEventListener('abort', gone)
  }
}

/** A gateway's own names have slashes too: `openrouter/qwen/qwen3` is called by this name. */
const idOf = (provider: string, name: string): string =>
  name.startsWith(`${provider}/`) ? name : `${provider}/${name}`

const sorted = (ids: readonly string[]): readonly string[] => [...new Set(ids)].sort()
