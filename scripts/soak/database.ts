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

/** Reads the database of a process that is dead. Nothing is written. */
export interface DeadDatabase {
  sessions(): SessionRow[]
  turns(session: string): TurnRow[]
  messages(session: string): MessageRow[]
  calls(session: string): CallRow[]
  approvals(session: string): ApprovalRow[]
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
    close: () => database.close(),
  }
}

/** The events of a log; throws for a line that is none. */
export const eventsOf = ({ id, log }: TurnRow): TurnEvent[] =>
  log
    .split('\n')
    .filter(Boolean)
    .map((line) => ({ turn: id, ...JSON.parse(line) }) as TurnEvent)
