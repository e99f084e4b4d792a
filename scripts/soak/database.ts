import { DatabaseSync } from 'node:sqlite'
import type { Part, TurnEvent, TurnOptions, TurnStatus, Usage } from '@keelson/core'

export interface SessionRow {
  readonly id: string
  readonly last_sequence: number
  readonly turn_count: number
  readonly queued_turns: number
  readonly running_turn: string | null
  readonly instance: string | null
  readonly updated_at: number
}

export interface MessageRow {
  readonly session: string
  readonly sequence: number
  readonly id: string
  readonly turn: string | null
  readonly role: string
  readonly parts: readonly Part[]
}

export interface TurnRow {
  readonly id: string
  readonly session: string
  readonly sequence: number
  readonly status: TurnStatus
  readonly options: TurnOptions
  readonly steps: number
  readonly usage: Usage
  readonly cost: number | null
  readonly user_message: string
  readonly started_at: number | null
  readonly log: string
}

export interface CallRow {
  readonly id: string
  readonly turn: string
  readonly step: number
  readonly call: string
  readonly tool: string
  readonly status: string
  readonly output: unknown
  readonly ended_at: number | null
}

export interface ApprovalRow {
  readonly id: string
  readonly turn: string
  readonly tool_call: string
  readonly status: string
  readonly follow_up: number
}

export interface LedgerRow {
  readonly turn: string
  readonly step: number
  readonly input: number
  readonly cache_read: number
  readonly cache_write: number
  readonly output: number
  readonly reasoning: number
  readonly cost: number
  readonly outcome: string
}

export interface ReservationRow {
  readonly id: string
  readonly turn: string | null
  readonly amount: number
  readonly windows: readonly { readonly key: string }[]
  readonly entry: { readonly step: number }
  /** Of its turn. */
  readonly status: string | null
  readonly steps: number | null
}

export interface BudgetRow {
  readonly key: string
  readonly amount: number
  readonly reserved: number
  readonly spent: number
  /** What the ledger says was spent of it. */
  readonly paid: number
}

/** Reads the database of a process that is dead. Nothing is written. */
export interface DeadDatabase {
  sessions(): SessionRow[]
  turns(session: string): TurnRow[]
  messages(session: string): MessageRow[]
  calls(session: string): CallRow[]
  approvals(session: string): ApprovalRow[]
  ledger(session: string): LedgerRow[]
  reservations(): ReservationRow[]
  budgets(): BudgetRow[]
  /** Calls and money of the ledger, and as the roll-ups of a grain have them. */
  totals(): { calls: number; cost: number; hours: string; days: string }
  close(): void
}

type Row = Record<string, unknown>

export function openDead(file: string): DeadDatabase {
  const database = new DatabaseSync(file, { readOnly: true })
  const all = (sql: string, ...values: string[]): Row[] => database.prepare(sql).all(...values)
  const json = (row: Row, ...columns: string[]): Row => {
    for (const column of columns) row[column] = JSON.parse(String(row[column]))
    return row
  }
  return {
    sessions: () => all('select * from sessions') as unknown as SessionRow[],
    turns: (session) =>
      all('select * from turns where session = ? order by sequence', session).map((row) =>
        json(row, 'options', 'usage'),
      ) as unknown as TurnRow[],
    messages: (session) =>
      all('select * from messages where session = ? order by sequence', session).map((row) =>
        json(row, 'parts'),
      ) as unknown as MessageRow[],
    calls: (session) =>
      all('select * from tool_calls where session = ? order by turn, step, position', session).map((row) =>
        json(row, 'output'),
      ) as unknown as CallRow[],
    approvals: (session) => all('select * from approvals where session = ?', session) as unknown as ApprovalRow[],
    ledger: (session) => all('select * from ledger where session = ?', session) as unknown as LedgerRow[],
    reservations: () =>
      all(
        `select r.id, r.turn, r.amount, r.windows, r.entry, t.status, t.steps
         from reservations r left join turns t on t.id = r.turn`,
      ).map((row) => json(row, 'windows', 'entry')) as unknown as ReservationRow[],
    budgets: () =>
      all(
        `select b.key, b.amount, b.reserved, b.spent,
           (select coalesce(sum(l.cost), 0) from ledger l
            where case b.budget when 'each' then l.session else l.tenant end = b.value
              and l.at between b.starts_at and b.ends_at) as paid
         from budget_windows b`,
      ) as unknown as BudgetRow[],
    totals: () =>
      all(
        `select count(*) as calls, coalesce(sum(cost), 0) as cost,
           (select sum(calls) || ' ' || sum(cost) from cost_rollups where grain = 3600000) as hours,
           (select sum(calls) || ' ' || sum(cost) from cost_rollups where grain = 86400000) as days
         from ledger`,
      )[0] as unknown as ReturnType<DeadDatabase['totals']>,
    close: () => database.close(),
  }
}

/** The events of a log; throws for a line that is none. */
export const eventsOf = ({ id, log }: TurnRow): TurnEvent[] =>
  log
    .split('\n')
    .filter(Boolean)
    .map((line) => ({ turn: id, ...JSON.parse(line) }) as TurnEvent)
