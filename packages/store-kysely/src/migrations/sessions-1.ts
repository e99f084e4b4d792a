import type { Migration } from './migration.ts'

export const sessions1: Migration = {
  capability: 'sessions',
  number: 1,
  statements: ({ text, integer, table, clusteredTable }) => [
    `create table sessions (
      id ${text} not null primary key,
      tenant ${text} not null,
      subject ${text} not null,
      agent ${text} not null,
      scope ${text},
      status ${text} not null,
      title ${text},
      model ${text},
      metadata ${text},
      last_sequence ${integer} not null,
      turn_count ${integer} not null,
      queued_turns ${integer} not null,
      running_turn ${text},
      instance ${text},
      epoch ${integer} not null,
      created_at ${integer} not null,
      updated_at ${integer} not null
    )${table}`,
    `create unique index sessions_active_scope on sessions (tenant, subject, agent, scope)
      where status = 'active' and scope is not null`,
    'create index sessions_of_subject on sessions (tenant, subject, created_at desc, id)',
    'create index sessions_of_tenant on sessions (tenant, created_at desc, id)',
    'create index sessions_untitled on sessions (tenant, created_at, id) where title is null',
    'create index sessions_leased on sessions (instance) where instance is not null',
    'create index sessions_waiting on sessions (running_turn) where running_turn is not null and instance is null',
    'create index sessions_stalled on sessions (id) where running_turn is null and queued_turns > 0',
    `create table messages (
      session ${text} not null references sessions (id),
      sequence ${integer} not null,
      id ${text} not null unique,
      turn ${text},
      role ${text} not null,
      parts ${text} not null,
      usage ${text},
      created_at ${integer} not null,
      primary key (session, sequence)
    )${clusteredTable}`,
  ],
}
