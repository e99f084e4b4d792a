import { isKeelsonError } from '../../kernel/errors.ts'
import type { Agent } from '../agents/index.ts'
import type { Model } from '../models/index.ts'
import type { Turn, TurnError } from '../sessions/index.ts'
import type { LoopDependencies } from './dependencies.ts'

/** What a turn runs with, or why it cannot any more. */
export type Prepared =
  | { readonly agent: Agent; readonly candidates: readonly Model[]; readonly turnMs: number }
  | { readonly error: TurnError }

/** The agent of a turn, and its models in the order that was chosen when it was accepted. */
export function prepareTurn(
  { agents, limits, models }: Pick<LoopDependencies, 'agents' | 'limits' | 'models'>,
  { agent: id, options, selection }: Turn,
): Prepared {
  try {
    const agent = agents.find(id)
    const candidates = selection
      ? models.candidatesOf(selection, agent.models)
      : models.select(agent.models, null).candidates
    return { agent, candidates, turnMs: options.turnMs ?? limits.turnMs }
  } catch (error) {
    if (!isKeelsonError(error)) throw error
    return { error: { code: error.code, message: error.message } }
  }
}
