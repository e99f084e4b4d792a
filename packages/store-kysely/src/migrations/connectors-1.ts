import type { Migration } from './migration.ts'

export const connectors1: Migration = {
  capability: 'connectors',
  number: 1,
  statements: ({ text, integer, clusteredTable }) => [
    `create table connector_health (
      tenant ${text} not null,
      name ${text} not null,
      registered_at ${integer},
      last_success_at ${integer},
      last_error ${text},
      last_error_at ${integer},
      primary key (tenant, name)
    )${clusteredTable}`,
  ],
}
