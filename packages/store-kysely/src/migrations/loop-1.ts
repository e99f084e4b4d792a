import type { Migration } from './migration.ts'

export const loop1: Migration = {
  capability: 'loop',
  number: 1,
  statements: ({ text, integer, table, clusteredTable }) => [
    `create table turns (
      id ${text} not null primary key,
      session ${text} not null references sessions (id),
      sequence ${integer} not null,
      tenant ${text} not null,
      subject ${text} not null,
      agent ${text} not null,
      generation ${integer} not null,
      status ${text} not null,
      options ${text} not null,
      selection ${text},
      context ${text},
      model ${text},
      steps ${integer} not null,
      usage ${text} not null,
      cost ${integer},
      error ${text},
      cancel_requested ${integer} not null,
      user_message ${text} not null,
      input ${text} not null,
      input_hash ${text} not null,
      idempotency_key ${text},
      idempotency_hash ${text},
      tool_call_count ${integer} not null,
      created_at ${integer} not null,
      started_at ${integer},
      ended_at ${integer},
      log ${text} not null
    )${table}`,
    'create unique index turns_of_session on turns (session, sequence)',
    `create unique index turns_idempotency on turns (tenant, subject, idempotency_key)
      where idempotency_key is not null`,
    "create index turns_queued on turns (session, sequence) where status = 'queued'",
    "create index turns_unanswered on turns (tenant, subject, input_hash) where status in ('queued', 'running')",
    `create table tool_calls (
      id ${text} not null primary key,
      turn ${text} not null references turns (id),
      session ${text} not null,
      step ${integer} not null,
      position ${integer} not null,
      call ${text} not null,
      tool ${text} not null,
      arguments ${text} not null,
      status ${text} not null,
      policy ${text} not null,
      output ${text} not null,
      started_at ${integer} not null,
      ended_at ${integer}
    )${table}`,
    'create unique index tool_calls_of_turn on tool_calls (turn, step, position)',
    `create table instances (
      id ${text} not null primary key,
      heartbeat ${integer} not null
    )${clusteredTable}`,
  ],
}
