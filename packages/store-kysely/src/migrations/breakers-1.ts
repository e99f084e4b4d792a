import type { Migration } from './migration.ts'

export const breakers1: Migration = {
  capability: 'breakers',
  number: 1,
  statements: ({ text, integer, clusteredTable }) => [
    `create table breakers (
      provider ${text} not null primary key,
      version ${integer} not null,
      state ${text} not null,
      cause ${text},
      failures ${text} not null,
      last_failure ${text},
      cooldown_ms ${integer} not null,
      opened_at ${integer},
      retry_at ${integer},
      probe ${text},
      changed_at ${integer} not null
    )${clusteredTable}`,
  ],
}
