import type { Agent } from '../agents/index.ts'
import type { Recalled } from '../memory/index.ts'
import type { ModelMessage } from '../models/index.ts'
import { textOf } from '../sessions/index.ts'
import type { LoopDependencies } from './dependencies.ts'
import type { History } from './history.ts'
import { unlessAborted } from './pause.ts'
import type { StartedTurn } from './store.ts'

/** What was recalled for a turn, and the message it is given with. */
export interface Recollection {
  readonly recalled: Recalled
  /** Index in the history of the user's message that the turn answers. */
  readonly index: number
  /** That message, with what was recalled before its text. One object for the whole turn, as every message is. */
  readonly message: ModelMessage
}

interface RecollectInput {
  readonly agent: Agent
  readonly history: History
  readonly signal: AbortSignal
  readonly started: StartedTurn
}

/**
 * Recalls what bears on the message of a turn. It goes with that message, behind everything a provider may have cached.
 * Null when there is nothing; a memory that cannot be read does not fail the turn.
 */
export async function recollect(
  { memory, report }: Pick<LoopDependencies, 'memory' | 'report'>,
  { agent, history, signal, started }: RecollectInput,
): Promise<Recollection | null> {
  const { id, input, subject, tenant } = started.turn
  if (agent.recall === null) return null
  let recalled: Recalled | null
  try {
    recalled = await unlessAborted(memory.recall({ tenant, subject }, textOf(input), agent.recall), signal)
  } catch (error) {
    signal.throwIfAborted()
    report(error, `recall of turn ${id}`)
    return null
  }
  const index = history.messages.findLastIndex(({ role }) => role === 'user')
  const question = history.messages[index]
  if (recalled === null || !question) return null
  const message = { role: question.role, parts: [{ type: 'text', text: recalled.text } as const, ...question.parts] }
  return { recalled, index, message }
}
