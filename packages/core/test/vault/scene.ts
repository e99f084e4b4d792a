import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Client,
  createRuntime,
  type Runtime,
  type RuntimeOptions,
  singleOwner,
  type VaultOptions,
} from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { onTestFinished } from 'vitest'

export const newKey = (): string => randomBytes(32).toString('base64')

export function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-vault-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'data.db')
}

export interface VaultScene {
  readonly runtime: Runtime
  readonly client: Client
  readonly reported: readonly unknown[]
  /** Every statement that was run. */
  readonly statements: readonly string[]
}

/** A runtime whose vault is looked at; stopped with the test. */
export function openRuntime(file: string, vault?: VaultOptions, more: Partial<RuntimeOptions> = {}): VaultScene {
  const reported: unknown[] = []
  const statements: string[] = []
  const runtime = createRuntime({
    store: sqliteStore(file, { trace: (sql) => statements.push(sql) }),
    providers: [],
    agents: [],
    ...(vault === undefined ? {} : { vault }),
    onError: (error) => reported.push(error),
    ...more,
  })
  onTestFinished(() => runtime.stop())
  return { runtime, client: runtime.as(singleOwner('code')), reported, statements }
}
