import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import type { Agent } from '../agents/index.ts'
import type { ConfigContent } from '../config/index.ts'
import type { Model } from '../models/index.ts'
import type { Turn, TurnError } from '../sessions/index.ts'
import type { LoopDependencies } from './dependencies.ts'
import { unlessAborted } from './pause.ts'

/** What a turn runs with, or why it cannot any more. */
export type Prepared =
  | { readonly agent: Agent; readonly candidates: readonly Model[]; readonly turnMs: number }
  | { readonly error: TurnError }

/** What makes a generation unusable for good: any other failure to read it may pass. */
const unusable: ReadonlySet<string> = new Set(['GENERATION_NOT_FOUND', 'CONFIG_TOO_NEW', 'CONFIG_DAMAGED'])

/**
 * The agent of a turn by the generation it began with, with all its tools, and its models in the order that was chosen
 * when it was accepted.
 */
export async function prepareTurn(
  {
    agents,
    config,
    equip,
    limits,
    models,
  }: Pick<LoopDependencies, 'agents' | 'config' | 'equip' | 'limits' | 'models'>,
  turn: Turn,
  signal: AbortSignal,
): Promise<Prepared> {
  const { agent: id, generation, options, selection, tenant } = turn
  try {
    const content = config.at(tenant, generation)
    const agent = agents.within(content instanceof Promise ? await readable(content) : content).find(id)
    const candidates = selection
      ? models.candidatesOf(selection, agent.models)
      : models.select(agent.models, null).candidates
    const turnMs = options.turnMs ?? limits.turnMs
    const equipped = equip(agent, turn, signal)
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

/** A store that fails is told apart from a content that cannot be used: the turn goes on when the store does. */
async function readable(content: Promise<ConfigContent>): Promise<ConfigContent> {
  return await content.catch((error: KeelsonError) => {
    throw unusable.has(error.code) ? error : new Error('the generation could not be read', { cause: error })
  })
}
