import type { Kysely } from 'kysely'
import { type Features, run, type Work } from './engine.ts'
import type { Database } from './schema.ts'
import { type Parameters, statement } from './statement.ts'

/** Lets one transaction at a time go on under the name, for races that no row and no index decides. */
export type NameLock = (...name: readonly string[]) => Work<void>

export function createNameLock(db: Kysely<Database>, { nameLock }: Pick<Features, 'nameLock'>): NameLock {
  const lock =
    nameLock &&
    statement((parameter: Parameters<{ name: string }>) => db.selectNoFrom(nameLock(parameter('name')).as('locked')))
  return function* (...name) {
    if (lock !== null) yield* run(lock, { name: JSON.stringify(name) })
  }
}
