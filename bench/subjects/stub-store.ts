import type { LoopStore, SessionStore, Store } from '@keelson/core/stores'

/** A verb that no benchmark uses must not answer with silence. */
const refusals = (port: string) =>
  new Proxy(
    {},
    {
      get: (_, name) => () => Promise.reject(new Error(`the stubbed store has no ${port}.${String(name)}`)),
    },
  )

/** Own properties are found without the proxy, so that what is used costs what it costs anywhere. */
const port = <Port extends object>(name: string, verbs: Partial<Port>): Port =>
  Object.setPrototypeOf(verbs, refusals(name)) as Port

/**
 * Persistence taken out: a store whose verbs resolve at once and keep nothing but how many messages a session has while
 * a turn runs.
 */
export function stubStore(): Store {
  const lastSequences = new Map<string, number>()
  let epoch = 0

  const sessions = port<SessionStore>('sessions', {
    create: (owner, session) =>
      Promise.resolve({
        ...session,
        tenant: owner.tenant,
        subject: owner.subject,
        status: 'active',
        model: null,
        lastSequence: 0,
        turnCount: 0,
        messageCount: 0,
        updatedAt: session.createdAt,
      }),
  })

  const loop = port<LoopStore>('loop', {
    accept(owner, { turn, instance }) {
      const lastSequence = (lastSequences.get(turn.session) ?? 0) + 1
      lastSequences.set(turn.session, lastSequence)
      epoch += 1
      return Promise.resolve({
        outcome: 'started',
        started: {
          turn: {
            ...turn,
            tenant: owner.tenant,
            subject: owner.subject,
            sequence: 1,
            status: 'running',
            context: null,
            model: null,
            steps: 0,
            usage: { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 },
            cost: null,
            error: null,
            cancelRequested: false,
            startedAt: turn.createdAt,
            endedAt: null,
          },
          lease: { session: turn.session, turn: turn.id, instance, epoch },
          lastSequence,
        },
      })
    },
    commit({ session }, { messages = [], status }) {
      const lastSequence = (lastSequences.get(session) ?? 0) + messages.length
      if (status === undefined) lastSequences.set(session, lastSequence)
      else lastSequences.delete(session)
      return Promise.resolve({ lastSequence, next: null, cancelRequested: false })
    },
    flush: () => Promise.resolve(),
    takeOver: () => Promise.resolve([]),
    prune: () => Promise.resolve(0),
    heartbeat: () => Promise.resolve(),
    retire: () => Promise.resolve(),
  })

  return {
    approvals: port<Store['approvals']>('approvals', {
      expire: () => Promise.resolve([]),
      resumable: () => Promise.resolve([]),
      unfollowed: () => Promise.resolve([]),
    }),
    breakers: port<Store['breakers']>('breakers', { list: () => Promise.resolve([]) }),
    config: port<Store['config']>('config', { heads: () => Promise.resolve([]) }),
    costs: port<Store['costs']>('costs', { settleAbandoned: () => Promise.resolve(0) }),
    loop,
    memory: port<Store['memory']>('memory', {}),
    sessions,
    connectors: port<Store['connectors']>('connectors', {}),
    vault: port<Store['vault']>('vault', {}),
    exclusive: true,
    migrate: () => Promise.resolve(),
    open: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
}
