import { describeStore } from '@keelson/conformance'
import { afterAll } from 'vitest'
import { usePostgres } from './postgres-server.ts'
import { type OpenedScene, openStore } from './scene.ts'

const server = usePostgres()
let opened: Promise<OpenedScene> | undefined

// Runs before the server stops: such hooks are called last in, first out.
afterAll(async () => (await opened)?.close())

describeStore('postgresStore', {
  async open() {
    opened ??= openStore(server().url)
    const { store, pool, schema } = await opened
    const tables = ['sessions', 'messages', 'turns', 'tool_calls', 'approvals', 'instances']
    await pool.query(`truncate ${tables.map((table) => `"${schema}".${table}`).join(', ')}`)
    return { store, close: async () => {} }
  },
})
