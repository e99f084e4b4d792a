import type { Migration } from './migration.ts'

/** For the log of model selections, newest first. */
export const loop2: Migration = {
  capability: 'loop',
  number: 2,
  statements: () => [
    'create index turns_of_subject on turns (tenant, subject, created_at desc, id)',
    'create index turns_of_tenant on turns (tenant, created_at desc, id)',
  ],
}
