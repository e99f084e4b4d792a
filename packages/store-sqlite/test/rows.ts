import type { AcceptTurn, LedgerEntry, NewSession, Owner, Part, Reservation, TurnCommit } from '@keelson/core/stores'

export const owner: Owner = { tenant: 'acme', subject: 'ada' }

const text = (value: string): Part[] => [{ type: 'text', text: value }]

export const sessionNamed = (id: string): NewSession => ({
  id,
  agent: 'assistant',
  scope: null,
  title: null,
  metadata: null,
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
  whenClosed: 'refuse',
  instance: 'one',
  whenBusy: 'wait',
  maxQueued: 100,
  inputHash: `hash of ${id}`,
  refuseDuplicateSince: null,
  idempotency: null,
  ...values,
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
  messages: [{ id: `answer of ${turn}`, turn, role: 'assistant', parts: text('hi'), usage: null, createdAt: 2 }],
})
