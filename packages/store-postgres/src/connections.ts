import { createHash } from 'node:crypto'
import type { Call, SqlValue } from '@keelson/store-kysely'
import { breaksConnection, isOutdated, losesNames } from './errors.ts'
import type { PostgresPool, PostgresPoolClient } from './pool.ts'

export interface ConnectionOptions {
  readonly pool: PostgresPool
  /** Whether statements are prepared once per connection and then called by name. */
  readonly prepare: boolean
  readonly trace: ((sql: string) => void) | undefined
}

/** A connection while it is lent. Rejects with the driver's own errors. */
export interface Connection {
  /** True once it is of no use any more. The server rolls back what was under way. */
  readonly broken: boolean
  run(call: Call): Promise<unknown[]>
  /** Runs SQL that has no values and is not prepared. */
  control(sql: string): Promise<unknown[]>
}

export interface Connections {
  /** Lends a connection to the work. One that breaks meanwhile is thrown away, with whatever was under way on it. */
  use<Result>(work: (connection: Connection) => Promise<Result>): Promise<Result>
}

/** The host's pool as the store sees it. Nothing is kept on a connection but prepared statements. */
export function createConnections({ pool, prepare, trace }: ConnectionOptions): Connections {
  const names = new WeakMap<Call['statement'], string>()
  const watched = new WeakSet<PostgresPoolClient>()
  let named = prepare

  function nameOf(statement: Call['statement']): string {
    let name = names.get(statement)
    if (name === undefined) {
      name = `keelson_${createHash('sha256').update(statement.sql).digest('hex').slice(0, 24)}`
      names.set(statement, name)
    }
    return name
  }

  return {
    async use(work) {
      const client = await pool.connect()
      // A lent connection that breaks between two statements would otherwise end the process.
      if (!watched.has(client)) {
        watched.add(client)
        client.on('error', () => {})
      }
      let broken: Error | undefined
      const send = async (query: Parameters<PostgresPoolClient['query']>[0]): Promise<unknown[]> => {
        trace?.(query.text)
        try {
          return (await client.query(query)).rows
        } catch (error) {
          if (losesNames(error)) named = false
          if (breaksConnection(error) || losesNames(error) || isOutdated(error)) broken = error as Error
          throw error
        }
      }
      const connection: Connection = {
        get broken() {
          return broken !== undefined
        },
        run({ statement, values }) {
          const text = statement.sql
          if (values.length === 0) return send({ text, types })
          const query = { text, values: storable(values), types }
          return send(named ? { ...query, name: nameOf(statement) } : query)
        },
        control: (text) => send({ text }),
      }
      try {
        return await work(connection)
      } finally {
        client.release(broken)
      }
    },
  }
}

const int8 = 20

/** A number where it is exact, else a bigint. */
function integerOf(text: string): number | bigint {
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : BigInt(text)
}

const textOf = (text: string): string => text

/** All columns are integers or text. */
const types = { getTypeParser: (type: number) => (type === int8 ? integerOf : textOf) }

/** A text cannot hold the character NUL here: it becomes U+FFFD, like everything else that UTF-8 cannot hold. */
const storable = (values: SqlValue[]): SqlValue[] =>
  values.some(hasNul) ? values.map((value) => (hasNul(value) ? value.replaceAll('\0', '\ufffd') : value)) : values

const hasNul = (value: SqlValue): value is string => typeof value === 'string' && value.includes('\0')
