import type { Migration } from './migration.ts'

/** The order in which a turn asked, for what it asked at the same moment. */
export const approvals2: Migration = {
  capability: 'approvals',
  number: 2,
  statements: ({ integer }) => [
    `alter table approvals add column position ${integer} not null default 0`,
    `update approvals set position = coalesce(
      (select tool_calls.position from tool_calls where tool_calls.id = approvals.tool_call), 0)`,
    'drop index approvals_of_subject',
    'drop index approvals_of_tenant',
    'drop index approvals_by_status',
    'drop index approvals_of_turn',
    'drop index approvals_unfollowed',
    'create index approvals_of_subject on approvals (tenant, subject, created_at, position, id)',
    'create index approvals_of_tenant on approvals (tenant, created_at, position, id)',
    'create index approvals_by_status on approvals (tenant, status, created_at, position, id)',
    'create index approvals_of_turn on approvals (turn, created_at, position, id)',
    `create index approvals_unfollowed on approvals (created_at, position, id)
      where status = 'approved' and follow_up = 1`,
  ],
}
