import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import type { Agent } from '../agents/index.ts'
import type { ConfigContent } from '../config/index.ts'
import type { Model } from '../models/index.ts'
import type { Turn, TurnError } from '../sessions/index.ts'
import type { LoopDependencies } from './dependencies.ts'

export type TurnSetup = { readonly agent: Agent; readonly candidates: readonly Model[] } | { readonly error: TurnError }

/** What makes a generation unusable for good: any other failure to read it may pass. */
const unusable: ReadonlySet<string> = new Set(['GENERATION_NOT_FOUND', 'CONFIG_TOO_NEW', 'CONFIG_DAMAGED'])

/** The agent and the models of a turn by the generation it began with, or why there are none any more. */
export async function setUpTurn(
  { agent: id, generation, selection, tenant }: Turn,
  { agents, config, models }: Pick<LoopDependencies, 'agents' | 'config' | 'models'>,
): Promise<TurnSetup> {
  try {
    const content = config.at(tenant, generation)
    const agent = agents.within(content instanceof Promise ? await readable(content) : content).find(id)
    const { chosen = null, strategy } = selection ?? {}
    return { agent, candidates: models.select(agent.models, strategy === 'override' ? chosen : null).candidates }
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
