import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Store } from '@keelson/core/stores'
import { type SqliteStoreOptions, sqliteStore } from '@keelson/store-sqlite'
import { onTestFinished } from 'vitest'

/** A new folder that goes away with the test. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export const newFile = (): string => join(newFolder(), 'keelson.db')

/** An open store that is closed with the test. */
export async function openStore(file: string, options: SqliteStoreOptions = {}): Promise<Store> {
  const store = sqliteStore(file, options)
  onTestFinished(() => store.close())
  await store.open()
  return store
}
