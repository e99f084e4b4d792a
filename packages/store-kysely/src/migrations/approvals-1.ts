import type { Migration } from './migration.ts'

export const approvals1: Migration = {
  capability: 'approvals',
  number: 1,
  statements: ({ text, integer, table }) => [
    `create table approvals (
      id ${text} not null primary key,
      tenant ${text} not null,
      subject ${text} not null,
      session ${text} not null,
      turn ${text} not null references turns (id),
      tool_call ${text} not null references tool_calls (id),
      tool ${text} not null,
      arguments ${text} not null,
      arguments_hash ${text} not null,
      reason ${text},
      requested_authority ${text} not null,
      generation ${integer} not null,
      status ${text} not null,
      follow_up ${integer} not null,
      decided_by ${text},
      decided_at ${integer},
      created_at ${integer} not null,
      expires_at ${integer} not null
    )${table}`,
    'create index approvals_of_subject on approvals (tenant, subject, created_at, id)',
    'create index approvals_of_tenant on approvals (tenant, created_at, id)',
    'create index approvals_by_status on approvals (tenant, status, created_at, id)',
    'create index approvals_of_turn on approvals (turn, created_at, id)',
    'create index approvals_of_call on approvals (tool_call)',
    "create index approvals_unfollowed on approvals (created_at, id) where status = 'approved' and follow_up = 1",
    "create index approvals_pending on approvals (expires_at) where status = 'pending'",
  ],
}
