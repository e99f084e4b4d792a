import type { Implementation } from '../../contract/invoke.ts'
import { type Reach, reachOf } from '../../kernel/context.ts'
import type { Models } from '../models/index.ts'
import { replay } from '../realtime/index.ts'
import { type ContextSegment, type SessionStore, sessionErrors, type Turn } from '../sessions/index.ts'
import type { observatoryOperations } from './contract.ts'
import { stepsOf } from './steps.ts'

export interface ObservatoryDependencies {
  readonly sessions: Pick<SessionStore, 'toolCalls' | 'turn' | 'turnLog'>
  readonly models: Pick<Models, 'find'>
}

/** Reads turns back: what was asked, what answered, what it took. Keeps nothing of its own. */
export function createObservatory({
  sessions,
  models,
}: ObservatoryDependencies): Implementation<typeof observatoryOperations> {
  async function find(reach: Reach, id: string): Promise<Turn> {
    const turn = await sessions.turn(reach, id)
    if (!turn) throw sessionErrors.TURN_NOT_FOUND()
    return turn
  }

  return {
    async turn({ principal }, { id }) {
      const reach = reachOf(principal)
      const [turn, log, toolCalls] = await Promise.all([
        find(reach, id),
        sessions.turnLog(reach, id),
        sessions.toolCalls(reach, id),
      ])
      const { context, selection } = turn
      return {
        turn,
        steps: stepsOf(replay(id, log ?? '', 0)),
        toolCalls,
        context: context ?? [],
        selection,
        attempts: selection?.attempts ?? [],
      }
    },

    async context({ principal }, { id }) {
      const { context, model, selection } = await find(reachOf(principal), id)
      const name = model ?? selection?.chosen ?? null
      const known = name === null ? null : models.find(name)
      const segments = context ?? []
      const tokens: Record<ContextSegment['source'], number> = {
        instructions: 0,
        tools: 0,
        memory: 0,
        history: 0,
        message: 0,
      }
      let dropped = 0
      let messages = 0
      for (const { from, kept, source, to, tokens: count } of segments) {
        if (!kept) dropped += count
        else {
          tokens[source] = (tokens[source] ?? 0) + count
          if (source === 'history' && from !== undefined && to !== undefined) messages += to - from + 1
        }
      }
      const budget = known === null ? 0 : known.contextTokens - known.maxOutputTokens
      return { turn: id, model: name, budget, tokens, dropped, segments, messages }
    },
  }
}
