import { type CallContext, type Owner, ownerOf, reachOf } from '../../kernel/context.ts'
import type { Agent } from '../agents/index.ts'
import type { Model, ModelNeeds } from '../models/index.ts'
import {
  checkName,
  longestSessionId,
  newSession,
  type Selection,
  type Session,
  sessionErrors,
} from '../sessions/index.ts'
import type { RunOptions } from './contract.ts'
import type { LoopDependencies } from './dependencies.ts'
import { loopErrors } from './errors.ts'
import type { AcceptTurn } from './store.ts'

const longestScope = 1_024

/** Where a turn belongs. */
export interface Target {
  readonly owner: Owner
  readonly session: string
  readonly newSession: AcceptTurn['newSession']
  readonly selection: Selection
  readonly agent: Agent
  /** The models to try, best first. */
  readonly candidates: readonly Model[]
}

type Sources = Pick<LoopDependencies, 'clock' | 'models' | 'newId' | 'sessions'>

/**
 * The session that a message goes to, found or to be begun, and the models that are chosen for it. Without a wait for one
 * that has no name yet.
 */
export function targetOf(
  sources: Sources,
  context: CallContext,
  agent: Agent,
  options: RunOptions,
  needs: ModelNeeds,
): Target | Promise<Target> {
  const { session, scope } = options
  if (session !== undefined) return named(sources, context, session, agent, options, needs)
  const owner = ownerOf(context.principal)
  const fresh = newSession(agent.id, sources.clock, sources.newId)
  if (scope === undefined) return begun(sources, owner, fresh, agent, needs)
  const opening = sources.sessions.open(owner, { ...fresh, scope: checkName(scope, 'scope', longestScope) })
  return opening.then((opened) => inside(sources, opened, agent, needs))
}

async function named(
  sources: Sources,
  { principal }: CallContext,
  id: string,
  agent: Agent,
  options: RunOptions,
  needs: ModelNeeds,
): Promise<Target> {
  const { clock, newId, sessions } = sources
  const session = await sessions.get(reachOf(principal), id)
  if (session === null) {
    if (options.whenMissing !== 'create') throw sessionErrors.SESSION_NOT_FOUND()
    const fresh = { ...newSession(agent.id, clock, newId), id: checkName(id, 'session', longestSessionId) }
    return begun(sources, ownerOf(principal), fresh, agent, needs)
  }
  if (options.sameAgent && session.agent !== agent.id) throw loopErrors.SESSION_OF_OTHER_AGENT()
  return inside(sources, session, agent, needs)
}

function begun(
  { models }: Sources,
  owner: Owner,
  fresh: NonNullable<AcceptTurn['newSession']>,
  agent: Agent,
  needs: ModelNeeds,
): Target {
  const { candidates, selection } = models.select(agent.models, null, needs)
  return { owner, session: fresh.id, newSession: fresh, selection, agent, candidates }
}

function inside({ models }: Sources, session: Session, agent: Agent, needs: ModelNeeds): Target {
  const { candidates, selection } = models.select(agent.models, session.model, needs)
  return { owner: session, session: session.id, newSession: null, selection, agent, candidates }
}
