/** A query as `pg` takes it. */
export interface PostgresQuery {
  readonly text: string
  readonly name?: string
  readonly values?: unknown[]
  readonly types?: { getTypeParser(type: number, format?: string): (value: string) => unknown }
}

/** What the store uses of a client that a `pg.Pool` has lent. */
export interface PostgresPoolClient {
  query(query: PostgresQuery): Promise<{ readonly rows: unknown[] }>
  on(event: 'error', listener: (error: Error) => void): unknown
  /** With an error the pool throws the connection away. */
  release(error?: Error | boolean): void
}

/** What the store uses of a `pg.Pool`. */
export interface PostgresPool {
  connect(): Promise<PostgresPoolClient>
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
}

/** What the store uses of a `pg.Client` to listen with: new and not yet connected. */
export interface PostgresListenClient {
  connect(): Promise<unknown>
  query(query: PostgresQuery): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
  on(event: 'notification', listener: (notification: { readonly payload?: string | undefined }) => void): unknown
  end(): Promise<unknown>
}
