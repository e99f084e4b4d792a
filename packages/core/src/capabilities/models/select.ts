import type { Selection, SelectionCandidate } from '../sessions/index.ts'
import type { CapacityMeter } from './capacity.ts'
import { modelErrors } from './contract.ts'
import type { ProviderGate } from './gate.ts'
import type { Model } from './model.ts'

/** What a turn asks of a model. */
export interface ModelNeeds {
  /** Tokens that must fit whatever else is left out: instructions, tools and the newest message. */
  readonly tokens: number
  /** Kept free for the answer, at most the model's own limit; null for just that. */
  readonly maxOutputTokens: number | null
  readonly tools: boolean
}

export interface Selected {
  readonly selection: Selection
  /** The models to try, best first. */
  readonly candidates: readonly Model[]
}

interface Selecting {
  readonly find: (id: string) => Model | null
  readonly gate: Pick<ProviderGate, 'stateOf'>
  readonly capacity: CapacityMeter
}

const registered = 'provider registered'
const nearlyFull = 0.1

/** A candidate that can be called, and its place among those that were asked for. */
interface Found {
  readonly model: Model
  readonly score: number
  readonly source: 'override' | 'primary' | 'fallback'
  readonly index: number
}

/** Throws `MODEL_UNKNOWN` when no model can be called at all. */
export function selectModels(
  { find, gate, capacity }: Selecting,
  models: readonly string[],
  override: string | null,
  needs: ModelNeeds | null,
): Selected {
  const wanted = override === null ? models : [override, ...models.filter((id) => id !== override)]
  const found: Found[] = []
  const candidates = wanted.map((id, index): SelectionCandidate => {
    const source = id === override ? 'override' : index === (override === null ? 0 : 1) ? 'primary' : 'fallback'
    const model = find(id)
    if (!model) {
      return { model: id, usable: false, note: 'no provider for this prefix', source, score: 0, registered: false }
    }
    const breaker = gate.stateOf(model.prefix)
    const { note, score } = judge(model, breaker, capacity, needs)
    found.push({ model, score, source, index })
    return { model: id, usable: score > 0, note, source, score, registered: true, breaker }
  })
  if (found.length === 0) {
    throw modelErrors.MODEL_UNKNOWN({ message: `no provider is registered for ${wanted.join(', ')}` })
  }
  // Stable: among equals the order in which they were asked for counts.
  const ranked = found.length === 1 ? found : found.toSorted((one, other) => other.score - one.score)
  const best = ranked[0] as Found
  return {
    selection: { chosen: best.model.id, strategy: strategyOf(best, override), candidates, override },
    candidates: ranked.map(({ model }) => model),
  }
}

/** Each thing that speaks against a model lowers its score; 0 means that a call would be refused. */
function judge(
  model: Model,
  breaker: SelectionCandidate['breaker'],
  capacity: CapacityMeter,
  needs: ModelNeeds | null,
): { score: number; note: string } {
  const reasons: string[] = []
  let score = 1
  if (breaker === 'open') {
    score = 0
    reasons.push('its breaker is open')
  } else if (breaker === 'half-open') {
    // Its place is kept: were it last, nobody would find out that the provider answers again.
    reasons.push('its breaker is half-open: one call at a time tries it')
  }
  if (capacity.heldFor(model) > 0) {
    score = 0
    reasons.push('the provider asks to be left alone after a rate limit')
  }
  const headroom = capacity.headroom(model)
  if (headroom <= 0) {
    score = 0
    reasons.push('its capacity of this minute is used up')
  } else if (headroom < nearlyFull) {
    score *= 0.5
    reasons.push('its capacity of this minute is nearly used up')
  }
  if (needs !== null && needs.tokens + outputOf(model, needs) > model.contextTokens) {
    score = 0
    reasons.push(`the message does not fit into its ${model.contextTokens} tokens`)
  }
  if (needs?.tools === true && !model.tools) {
    score *= 0.5
    reasons.push('it cannot call tools')
  }
  return { score, note: reasons.length === 0 ? registered : reasons.join('; ') }
}

const outputOf = ({ maxOutputTokens: most }: Model, needs: ModelNeeds): number =>
  Math.min(needs.maxOutputTokens ?? most, most)

function strategyOf({ index, score, source }: Found, override: string | null): string {
  if (score === 0) return 'last_resort'
  return source === 'fallback' ? `fallback_${override === null ? index : index - 1}` : source
}

/** The order that was chosen before, for what can still be called of it; models that have been added since come last. */
export function orderOf(selection: Selection, models: readonly string[]): readonly string[] {
  const override = selection.override ?? (selection.strategy === 'override' ? selection.chosen : null)
  const wanted = override === null ? models : [override, ...models.filter((id) => id !== override)]
  const ranked = selection.candidates
    .toSorted((one, other) => (other.score ?? Number(other.usable)) - (one.score ?? Number(one.usable)))
    .map(({ model }) => model)
    .filter((id) => wanted.includes(id))
  return [...ranked, ...wanted.filter((id) => !ranked.includes(id))]
}
