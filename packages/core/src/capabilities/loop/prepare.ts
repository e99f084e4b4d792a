import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import type { Agent } from '../agents/index.ts'
import type { ConfigContent } from '../config/index.ts'
import type { Budget } from '../costs/index.ts'
import type { Model } from '../models/index.ts'
import type { Turn, TurnError } from '../sessions/index.ts'
import type { LoopDependencies } from './dependencies.ts'
import { unlessAborted } from './pause.ts'

/** Who answers a turn, with which models, best first, and under which budgets: all by the generation it began with. */
export interface TurnPlan {
  readonly agent: Agent
  readonly budgets: readonly Budget[]
  readonly candidates: readonly Model[]
}

/** What a turn runs with, or why it cannot any more. */
export type Prepared = TurnPlan | { readonly error: TurnError }

type Sources = Pick<LoopDependencies, 'agents' | 'budgets' | 'config' | 'equip' | 'models'>

/** What makes a generation unusable for good: any other failure to read it may pass. */
const unusable: ReadonlySet<string> = new Set(['GENERATION_NOT_FOUND', 'CONFIG_TOO_NEW', 'CONFIG_DAMAGED'])

/**
 * The plan of a turn, its agent with all its tools. Without a wait while all is in memory: every turn comes by here.
 * `accepted`: the plan it was accepted with a moment ago, else null.
 */
export function prepareTurn(
  sources: Sources,
  turn: Turn,
  accepted: TurnPlan | null,
  signal: AbortSignal,
): Prepared | Promise<Prepared> {
  try {
    const plan = accepted ?? planOf(sources, turn)
    const equipped =
      plan instanceof Promise
        ? plan.then((made) => equip(sources, turn, made, signal))
        : equip(sources, turn, plan, signal)
    return equipped instanceof Promise ? equipped.catch(unusableFor) : equipped
  } catch (error) {
    return unusableFor(error)
  }
}

function unusableFor(error: unknown): { readonly error: TurnError } {
  if (!isKeelsonError(error)) throw error
  return { error: { code: error.code, message: error.message } }
}

/** The plan as the generation says, with the models in the order that was chosen when the turn was accepted. */
function planOf({ agents, budgets, config, models }: Sources, turn: Turn): TurnPlan | Promise<TurnPlan> {
  const { agent: id, generation, selection, tenant } = turn
  const within = (content: ConfigContent): TurnPlan => {
    const agent = agents.within(content).find(id)
    const candidates = selection
      ? models.candidatesOf(selection, agent.models)
      : models.select(agent.models, null).candidates
    return { agent, budgets: budgets.within(tenant, content), candidates }
  }
  const content = config.at(tenant, generation)
  return content instanceof Promise ? readable(content).then(within) : within(content)
}

function equip(sources: Sources, turn: Turn, plan: TurnPlan, signal: AbortSignal): TurnPlan | Promise<TurnPlan> {
  const equipped = sources.equip(plan.agent, turn, signal)
  if (equipped === plan.agent) return plan
  if (!(equipped instanceof Promise)) return { ...plan, agent: equipped }
  return unlessAborted(equipped, signal).then(
    (agent) => ({ ...plan, agent }),
    (error) => {
      // A turn that is ended while it waits here goes on to its end without them.
      if (signal.aborted) return plan
      throw error
    },
  )
}

/** A store that fails is told apart from a content that cannot be used: the turn goes on when the store does. */
async function readable(content: Promise<ConfigContent>): Promise<ConfigContent> {
  return await content.catch((error: KeelsonError) => {
    throw unusable.has(error.code) ? error : new Error('the generation could not be read', { cause: error })
  })
}
