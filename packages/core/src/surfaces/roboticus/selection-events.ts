import { z } from 'zod'
import type { Selection, SelectionCandidate, Turn, TurnSelection } from '../../capabilities/sessions/index.ts'
import { rfc3339, rfc3339Text } from './formats.ts'

/** What messages over HTTP are called in the log of model selections. */
export const channel = 'api'

const excerptWords = 20
const excerptLength = 240

export const candidateAnswer = z.strictObject({
  model: z.string(),
  source: z.enum(['override', 'primary_ordered', 'fallback_ordered']),
  provider_available: z.boolean(),
  breaker_blocked: z.boolean(),
  usable: z.boolean(),
  note: z.string(),
})

export const selectionEvent = z.strictObject({
  event_id: z.uuid(),
  turn_id: z.uuid(),
  session_id: z.uuid(),
  agent_id: z.string(),
  channel: z.string(),
  selected_model: z.string(),
  strategy: z.string(),
  primary_model: z.string(),
  override_model: z.string().nullable(),
  complexity: z.string().nullable(),
  /** The first 20 words, at most 240 characters. */
  user_excerpt: z.string(),
  candidates: z.array(candidateAnswer),
  created_at: rfc3339Text,
})

/** The fields that the log and the push of a selection have in common. */
export function selectionFields(selection: Selection) {
  const { candidates, chosen, override = null, strategy } = selection
  const primary = candidates.find(({ source }) => source === 'primary') ?? candidates[override === null ? 0 : 1]
  return {
    channel,
    selected_model: chosen,
    strategy: strategyOf(strategy),
    primary_model: primary?.model ?? chosen,
    override_model: override,
    complexity: null,
    candidates: candidates.map(candidateOf),
  } as const
}

/** The event of a turn. There is one of each, so it goes by the turn's id. */
export const eventOf = (turn: TurnSelection): z.infer<typeof selectionEvent> => ({
  event_id: turn.turn,
  turn_id: turn.turn,
  session_id: turn.session,
  agent_id: turn.agent,
  ...selectionFields(turn.selection),
  user_excerpt: excerptOf(turn.excerpt),
  created_at: rfc3339(turn.createdAt),
})

/** The same of a turn that was read by itself. */
export const eventOfTurn = (
  turn: Turn & { readonly selection: Selection },
  text: string,
): z.infer<typeof selectionEvent> => eventOf({ ...turn, turn: turn.id, excerpt: text })

const candidateOf = ({
  breaker,
  model,
  note,
  registered = true,
  source,
  usable,
}: SelectionCandidate): z.infer<typeof candidateAnswer> => ({
  model,
  source: source === 'override' ? 'override' : source === 'primary' ? 'primary_ordered' : 'fallback_ordered',
  provider_available: registered,
  breaker_blocked: breaker === 'open',
  usable,
  note,
})

const strategies: Readonly<Record<string, string>> = {
  override: 'override_usable',
  primary: 'primary_usable',
  last_resort: 'last_resort_primary',
}

const strategyOf = (strategy: string): string =>
  strategies[strategy] ?? strategy.replace('fallback_', 'fallback_usable_')

/** Cut between characters. */
function excerptOf(text: string): string {
  const words = text.trim().split(/\s+/, excerptWords).join(' ')
  return [...words].slice(0, excerptLength).join('')
}
