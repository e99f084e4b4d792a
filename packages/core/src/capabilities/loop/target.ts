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
  /** The first that is tried. */
  readonly model: Model | undefined
}

type Sources = Pick<LoopDependencies, 'clock' | 'models' | 'newId' | 'sessions'>

/** The session that a message goes to, found or to be begun, and the models that are chosen for it. */
export async function targetOf(
  { clock, models, newId, sessions }: Sources,
  { principal }: CallContext,
  agent: Agent,
  options: RunOptions,
  needs: ModelNeeds,
): Promise<Target> {
  const owner = ownerOf(principal)
  const { session: id, scope } = options

  const begun = (fresh: NonNullable<AcceptTurn['newSession']>): Target => {
    const { candidates, selection } = models.select(agent.models, null, needs)
    return { owner, session: fresh.id, newSession: fresh, selection, agent, model: candidates[0] }
  }
  const inside = (session: Session): Target => {
    const { candidates, selection } = models.select(agent.models, session.model, needs)
    return { owner: session, session: session.id, newSession: null, selection, agent, model: candidates[0] }
  }

  const fresh = newSession(agent.id, clock, newId)
  if (id === undefined) {
    if (scope === undefined) return begun(fresh)
    return inside(await sessions.open(owner, { ...fresh, scope: checkName(scope, 'scope', longestScope) }))
  }
  const session = await sessions.get(reachOf(principal), id)
  if (session === null) {
    if (options.whenMissing !== 'create') throw sessionErrors.SESSION_NOT_FOUND()
    return begun({ ...fresh, id: checkName(id, 'session', longestSessionId) })
  }
  if (options.sameAgent && session.agent !== agent.id) throw loopErrors.SESSION_OF_OTHER_AGENT()
  return inside(session)
}
