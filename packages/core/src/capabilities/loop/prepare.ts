import { isKeelsonError } from '../../kernel/errors.ts'
import type { Agent } from '../agents/index.ts'
import type { Model } from '../models/index.ts'
import type { Turn, TurnError } from '../sessions/index.ts'
import type { LoopDependencies } from './dependencies.ts'
import { unlessAborted } from './pause.ts'

/** What a turn runs with, or why it cannot any more. */
export type Prepared =
  | { readonly agent: Agent; readonly candidates: readonly Model[]; readonly turnMs: number }
  | { readonly error: TurnError }

/** The agent of a turn with all its tools, and its models in the order that was chosen when it was accepted. */
export async function prepareTurn(
  { agents, equip, limits, models }: Pick<LoopDependencies, 'agents' | 'equip' | 'limits' | 'models'>,
  { agent: id, options, selection, tenant }: Turn,
  signal: AbortSignal,
): Promise<Prepared> {
  try {
    const agent = agents.find(id)
    const candidates = selection
      ? models.candidatesOf(selection, agent.models)
      : models.select(agent.models, null).candidates
    const turnMs = options.turnMs ?? limits.turnMs
    const equipped = equip(agent, tenant)
    if (!(equipped instanceof Promise)) return { agent: equipped, candidates, turnMs }
    // A turn that is ended while it waits here goes on to its end without them.
    const ready = await unlessAborted(equipped, signal).catch((error) => {
      if (signal.aborted) return agent
      throw error
    })
    return { agent: ready, candidates, turnMs }
  } catch (error) {
    if (!isKeelsonError(error)) throw error
    return { error: { code: error.code, message: error.message } }
  }
}
