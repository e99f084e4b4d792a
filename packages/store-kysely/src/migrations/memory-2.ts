import type { Migration } from './migration.ts'

/** What an operator looks up in the whole tenant: the note at a path, and the notes below another. */
export const memory2: Migration = {
  capability: 'memory',
  number: 2,
  statements: () => [
    'create index notes_of_tenant_path on notes (tenant, path)',
    `create index notes_filed on notes (tenant, parent_path, updated_at desc, created_at desc, id desc)
      where parent_path is not null`,
  ],
}
