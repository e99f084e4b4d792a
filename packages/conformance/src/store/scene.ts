import type {
  Accepted,
  AcceptTurn,
  Lease,
  Message,
  NewApproval,
  NewMessage,
  NewSession,
  NewToolCall,
  NewTurn,
  Owner,
  Reach,
  Session,
  StartedTurn,
  Store,
  TurnOptions,
} from '@keelson/core/stores'
import { afterEach, beforeEach, expect } from 'vitest'

/** A store under test: opened, migrated and empty. */
export interface OpenedStore {
  readonly store: Store
  close(): Promise<void>
}

export interface StoreSubject {
  /** Opens a new, empty store. Called once per test. */
  open(): Promise<OpenedStore>
}

export const ada: Owner = { tenant: 'acme', subject: 'ada' }
export const bob: Owner = { tenant: 'acme', subject: 'bob' }
/** Has the name of `ada` in another tenant. */
export const stranger: Owner = { tenant: 'other', subject: 'ada' }
export const operator: Reach = { tenant: 'acme', subject: null }
export const otherOperator: Reach = { tenant: 'other', subject: null }

/** Who must never see what is ada's. */
export const outsiders: readonly Reach[] = [bob, stranger, otherOperator, { tenant: 'ACME', subject: null }]

/** Later than any 32-bit number of milliseconds. */
export const start = 1_790_000_000_000

export const text = (value: string) => [{ type: 'text', text: value } as const]

export const everything = { limit: 1_000, offset: 0 }

export const deferring: TurnOptions = {
  authority: 'peer',
  approvals: 'defer',
  failureReply: null,
  continues: null,
}

export const suspending: TurnOptions = { ...deferring, approvals: 'suspend' }

/** The store of the running test, and rows to put into it. */
export interface Scene {
  readonly store: Store
  session(owner?: Owner, values?: Partial<NewSession>): Promise<Session>
  /** Accepts a turn and expects it to start. */
  start(session: string, values?: Partial<NewTurn>, owner?: Owner): Promise<StartedTurn>
  /** Accepts a turn and expects it to wait. */
  queue(session: string, values?: Partial<NewTurn>): Promise<string>
  /** All that can be read of a tenant. */
  snapshot(tenant?: string): Promise<unknown>
}

/** Opens the subject before each test of the surrounding group and closes it afterwards. */
export function useScene(subject: StoreSubject): () => Scene {
  let opened: OpenedStore | undefined
  let scene: Scene | undefined
  beforeEach(async () => {
    resetIds()
    opened = await subject.open()
    scene = sceneOf(opened.store)
  })
  afterEach(async () => {
    await opened?.close()
    opened = undefined
  })
  return () => {
    if (scene === undefined) throw new Error('there is a scene only within a test')
    return scene
  }
}

let ids = 0

function resetIds(): void {
  ids = 0
}

/** A new identifier. Later ones do not sort after earlier ones, so that no order can come from them by chance. */
export function newId(kind: string): string {
  ids += 1
  return `${kind}-${String((ids * 7919) % 100_003).padStart(6, '0')}`
}

export const newSession = (values: Partial<NewSession> = {}): NewSession => ({
  id: newId('session'),
  agent: 'assistant',
  scope: null,
  title: null,
  metadata: null,
  createdAt: start,
  ...values,
})

export const newMessage = (values: Partial<NewMessage> = {}): NewMessage => ({
  id: newId('message'),
  turn: null,
  role: 'assistant',
  parts: text('hello'),
  usage: null,
  createdAt: start,
  ...values,
})

export const newTurn = (session: string, values: Partial<NewTurn> = {}): NewTurn => {
  const id = newId('turn')
  return {
    id,
    session,
    agent: 'assistant',
    generation: 3,
    options: suspending,
    selection: { chosen: 'demo/echo', strategy: 'primary', candidates: [] },
    userMessage: newId('message'),
    input: text(`question of ${id}`),
    createdAt: start,
    ...values,
  }
}

export const accepting = (
  session: string,
  values: Partial<Omit<AcceptTurn, 'turn'>> & { readonly turn?: Partial<NewTurn> } = {},
): AcceptTurn => {
  const turn = newTurn(session, values.turn)
  return {
    newSession: null,
    whenClosed: 'refuse',
    instance: 'one',
    whenBusy: 'wait',
    maxQueued: 100,
    inputHash: `hash of ${turn.id}`,
    refuseDuplicateSince: null,
    idempotency: null,
    ...values,
    turn,
  }
}

export const newToolCall = (values: Partial<NewToolCall> = {}): NewToolCall => ({
  id: newId('call'),
  step: 1,
  call: 'call_0',
  tool: 'search',
  arguments: '{"query": "keel"}',
  status: 'started',
  policy: { decision: 'allow', rule: 'safe', reason: null },
  output: null,
  startedAt: start,
  endedAt: null,
  toolHash: 'c3d4',
  ...values,
})

export const newApproval = (toolCall: string, values: Partial<NewApproval> = {}): NewApproval => ({
  id: newId('approval'),
  toolCall,
  tool: 'search',
  arguments: '{"query": "keel"}',
  argumentsHash: 'a1b2',
  reason: 'it costs money',
  requestedAuthority: 'peer',
  createdAt: start,
  expiresAt: start + 60_000,
  toolHash: 'c3d4',
  ...values,
})

export function startedOf(accepted: Accepted): StartedTurn {
  if (accepted.outcome !== 'started') throw new Error(`the turn was not started: ${accepted.outcome}`)
  return accepted.started
}

export const idsOf = (rows: readonly { readonly id: string }[]): string[] => rows.map(({ id }) => id)

/** Role and text of each message, in order. */
export const linesOf = (messages: readonly Message[]): string[] =>
  messages.map(({ role, parts }) => {
    const [first] = parts
    return `${role}: ${first?.type === 'text' ? first.text : first?.type}`
  })

export const leaseLost = { code: 'LEASE_LOST' }

/** Expects that neither kind of write gets through under the lease, and that the tenant stays as it is. */
export async function expectVoid(scene: Scene, lease: Lease): Promise<void> {
  const before = await scene.snapshot()
  const { loop } = scene.store
  await expect(loop.flush(lease, '{"sequence":999}\n')).rejects.toMatchObject(leaseLost)
  const change = {
    at: start + 999_999,
    messages: [newMessage({ turn: lease.turn })],
    log: '{"sequence":999}\n',
    toolCalls: [newToolCall()],
    cost: 7,
  }
  await expect(loop.commit(lease, change)).rejects.toMatchObject(leaseLost)
  await expect(loop.commit(lease, { ...change, status: 'completed' })).rejects.toMatchObject(leaseLost)
  await expect(loop.commit(lease, { at: change.at, status: 'waiting' })).rejects.toMatchObject(leaseLost)
  expect(await scene.snapshot()).toEqual(before)
}

function sceneOf(store: Store): Scene {
  return {
    store,

    session: (owner = ada, values = {}) => store.sessions.create(owner, newSession(values)),

    async start(session, values = {}, owner = ada) {
      return startedOf(await store.loop.accept(owner, accepting(session, { turn: values })))
    },

    async queue(session, values = {}) {
      const accepted = await store.loop.accept(ada, accepting(session, { turn: values }))
      if (accepted.outcome !== 'queued') throw new Error(`the turn was not queued: ${accepted.outcome}`)
      return accepted.turn.id
    },

    async snapshot(tenant = 'acme') {
      const reach = { tenant, subject: null }
      const sessions = await store.sessions.list(reach, everything)
      const approvals = await store.approvals.list(reach, everything)
      const contents = []
      for (const { id } of sessions) {
        const turns = await store.sessions.turns(reach, id, everything)
        const written = []
        for (const turn of turns) {
          written.push([await store.sessions.turnLog(reach, turn.id), await store.sessions.toolCalls(reach, turn.id)])
        }
        contents.push([await store.sessions.messages(reach, id, { after: 0, limit: 1_000 }), turns, written])
      }
      return { sessions, approvals, contents }
    },
  }
}
