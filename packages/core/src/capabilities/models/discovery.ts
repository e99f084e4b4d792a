import type { Clock } from '../../kernel/clock.ts'
import { unlessAborted } from '../../kernel/unless-aborted.ts'
import type { DiscoveredModels } from './contract.ts'
import { isModelFailure, type ModelInfo, type Provider } from './provider.ts'

/** Of one provider. A service that lists more is cut: nobody chooses among so many. */
const mostModels = 2_000
const longestName = 256
const timeoutMs = 15_000
/** Asked again sooner, a provider gives what it gave before. */
const freshMs = 60_000

interface Found {
  readonly at: number
  readonly models: readonly ModelInfo[]
}

/** `provider/model`. A provider of every prefix names its models in full. */
export const modelId = ({ id }: Provider, name: string): string => (id === '*' ? name : `${id}/${name}`)

/** What providers say they have. Kept until they are asked again; a provider that fails keeps what it had said. */
export class Discovery {
  readonly #clock: Clock
  readonly #found = new Map<string, Found>()
  readonly #infos = new Map<string, ModelInfo>()
  readonly #running = new Map<string, Promise<Found>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Facts that a provider has told of a model; undefined when it was not asked, or does not know it. */
  infoOf(id: string): ModelInfo | undefined {
    return this.#infos.get(id)
  }

  get ids(): Iterable<string> {
    return this.#infos.keys()
  }

  /** Asks the providers that can say. Those that fail are named with the class of the failure. */
  async ask(providers: readonly Provider[], signal: AbortSignal | undefined): Promise<DiscoveredModels['providers']> {
    return await Promise.all(
      providers.map(async (provider) => {
        try {
          const { models } = await this.#of(provider, signal)
          return { provider: provider.id, models: models.length, failure: null }
        } catch (error) {
          signal?.throwIfAborted()
          return { provider: provider.id, models: 0, failure: isModelFailure(error) ? error.failure : 'server' }
        }
      }),
    )
  }

  /** Callers at once share one request, which none of them can abort for the others. */
  #of(provider: Provider, signal: AbortSignal | undefined): Promise<Found> {
    const { id } = provider
    const known = this.#found.get(id)
    if (known && this.#clock.now() - known.at < freshMs) return Promise.resolve(known)
    let running = this.#running.get(id)
    if (!running) {
      running = this.#fetch(provider).finally(() => this.#running.delete(id))
      this.#running.set(id, running)
    }
    return signal ? unlessAborted(running, signal) : running
  }

  async #fetch(provider: Provider): Promise<Found> {
    const models = sound((await provider.discover?.(AbortSignal.timeout(timeoutMs))) ?? [])
    const found = { at: this.#clock.now(), models }
    for (const info of this.#found.get(provider.id)?.models ?? []) this.#infos.delete(modelId(provider, info.name))
    for (const info of models) this.#infos.set(modelId(provider, info.name), info)
    this.#found.set(provider.id, found)
    return found
  }
}

/** A service of somebody else said this: names that can be names, each once, not too many. */
function sound(models: readonly ModelInfo[]): readonly ModelInfo[] {
  const byName = new Map<string, ModelInfo>()
  for (const info of models) {
    if (byName.size >= mostModels) break
    const { name } = info
    if (typeof name === 'string' && name.length <= longestName && /^[!-~]+$/.test(name)) byName.set(name, info)
  }
  return [...byName.values()]
}
