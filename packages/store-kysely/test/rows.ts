import type {
  AcceptTurn,
  BreakerRecord,
  LedgerEntry,
  NewApproval,
  NewMessage,
  NewNote,
  NewSession,
  NewToolCall,
  Owner,
  Part,
  Reservation,
  StartedTurn,
  Store,
  TurnCommit,
} from '@keelson/core/stores'

export const owner: Owner = { tenant: 'acme', subject: 'ada' }

export const everything = { limit: 1_000, offset: 0 }

const text = (value: string): Part[] => [{ type: 'text', text: value }]

export const sessionNamed = (id: string, values: Partial<NewSession> = {}): NewSession => ({
  id,
  agent: 'assistant',
  scope: null,
  title: null,
  metadata: null,
  createdAt: 1,
  ...values,
})

export const messageNamed = (id: string): NewMessage => ({
  id,
  turn: null,
  role: 'user',
  parts: text(id),
  usage: null,
  createdAt: 1,
})

export const noteNamed = (id: string): NewNote => ({
  id,
  path: `notes/${id}`,
  title: id,
  content: 'keel',
  type: 'note',
  status: 'active',
  tags: [],
  priority: 0,
  due: null,
  parentPath: null,
  reminder: false,
  createdAt: 1,
})

export const accepting = (session: string, id: string, values: Partial<AcceptTurn> = {}): AcceptTurn => ({
  turn: {
    id,
    session,
    agent: 'assistant',
    generation: 0,
    options: { authority: 'peer', approvals: 'suspend', failureReply: null, continues: null },
    selection: { chosen: 'demo/echo', strategy: 'primary', candidates: [] },
    userMessage: `question of ${id}`,
    input: text('hello'),
    createdAt: 1,
  },
  newSession: null,
  instance: 'one',
  whenBusy: 'wait',
  whenClosed: 'refuse',
  maxQueued: 100,
  inputHash: `hash of ${id}`,
  refuseDuplicateSince: null,
  idempotency: null,
  ...values,
})

export const toolCall = (id: string): NewToolCall => ({
  id,
  step: 1,
  call: id,
  tool: 'search',
  arguments: '{}',
  status: 'waiting',
  policy: { decision: 'ask', rule: 'risk', reason: null },
  output: null,
  startedAt: 1,
  endedAt: null,
  toolHash: 'c3d4',
})

export const approval = (id: string, toolCall: string): NewApproval => ({
  id,
  toolCall,
  tool: 'search',
  arguments: '{}',
  argumentsHash: 'hash',
  reason: null,
  requestedAuthority: 'peer',
  createdAt: 1,
  expiresAt: 1_000,
  toolHash: 'c3d4',
})

export const breaker = (version: number): BreakerRecord => ({
  provider: 'openai',
  version,
  state: 'closed',
  cause: null,
  failures: [1],
  lastFailure: 'server',
  cooldownMs: 1,
  openedAt: null,
  retryAt: null,
  probe: null,
  changedAt: 1,
})

/** A model call that was paid for. */
export const paid = (id: string): LedgerEntry => ({
  id: `call of ${id}`,
  ...owner,
  session: null,
  turn: null,
  step: 0,
  agent: 'assistant',
  schedule: null,
  model: 'demo/echo',
  provider: 'demo',
  usage: { input: 10, cacheRead: 0, cacheWrite: 0, output: 20, reasoning: 0 },
  cost: 1_234,
  priceSource: 'registration',
  price: 'input 1, output 61',
  priceAt: 1,
  outcome: 'settled',
  at: 2,
})

/** Money set aside in one budget for a step of a turn, or for a call outside of any. */
export const setAside = (id: string, turn: string | null): Reservation => ({
  id,
  amount: 5_000,
  windows: [
    {
      key: 'daily',
      budget: 'daily',
      tenant: owner.tenant,
      subject: null,
      value: owner.tenant,
      start: 0,
      end: 86_400_000,
      amount: 1_000_000n,
      thresholds: [],
    },
  ],
  entry: { ...paid(id), id, turn, cost: 5_000, outcome: 'at-reservation' },
})

/** The last commit of a plain turn, with what its model call cost. */
export const answering = (turn: string): TurnCommit => ({
  at: 2,
  status: 'completed',
  model: 'demo/echo',
  steps: 1,
  usage: { input: 10, cacheRead: 0, cacheWrite: 0, output: 20, reasoning: 0 },
  cost: 1_234,
  context: [{ source: 'history', tokens: 3, kept: true, from: 1, to: 4 }],
  log: '{"sequence":1}\n',
  ledger: [{ ...paid(turn), session: 's', turn, step: 1 }],
  messages: [{ ...messageNamed(`answer of ${turn}`), turn, role: 'assistant', parts: text('hi') }],
})

export async function startTurn(store: Store, session: string, turn: string): Promise<StartedTurn> {
  const accepted = await store.loop.accept(owner, accepting(session, turn))
  if (accepted.outcome !== 'started') throw new Error(`the turn was not started: ${accepted.outcome}`)
  return accepted.started
}
