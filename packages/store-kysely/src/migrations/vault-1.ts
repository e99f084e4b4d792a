import type { Migration } from './migration.ts'

export const vault1: Migration = {
  capability: 'vault',
  number: 1,
  statements: ({ text, integer, clusteredTable }) => [
    `create table vault_entries (
      tenant ${text} not null,
      name ${text} not null,
      key_id ${text} not null,
      envelope ${text} not null,
      created_at ${integer} not null,
      updated_at ${integer} not null,
      primary key (tenant, name)
    )${clusteredTable}`,
    'create index vault_entries_by_key on vault_entries (key_id)',
  ],
}
