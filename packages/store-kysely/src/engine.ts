import type { QueryCompiler, RawBuilder, SqlBool } from 'kysely'

/** What is bound to a statement. Numbers are safe integers: times in ms, booleans as 0 and 1, counts. */
export type SqlValue = string | number | bigint | null

/** A compiled statement. Made once; an engine may keep it prepared under its identity. */
export interface Statement<Values = never, Row = unknown> {
  readonly sql: string
  /** True when it only reads. */
  readonly reads: boolean
  /** The values in the order of the statement's placeholders. Throws a `RangeError` for a number that is no safe integer. */
  bind(values: Values): SqlValue[]
  /** Only a type: what a row looks like. */
  readonly row?: Row
}

/** One statement with its values, as a transaction hands it to the engine. */
export interface Call {
  readonly statement: Pick<Statement, 'sql' | 'reads'>
  readonly values: SqlValue[]
}

/**
 * A transaction's body. It yields calls and gets rows back, so that an embedded engine runs it in one go, with nothing
 * in between, and a remote one awaits each answer.
 */
export type Work<Result> = Generator<Call, Result, unknown[]>

/** Runs one statement inside a transaction: `const rows = yield* run(statement, values)`. */
export function* run<Values, Row>(statement: Statement<Values, Row>, values: Values): Work<Row[]> {
  return (yield { statement, values: statement.bind(values) }) as Row[]
}

/** What to look for in a full-text index. Words are those of `searchWords`: no engine has anything to parse. */
export interface FullTextQuery {
  /** At least one. With `prefix` every word that begins with this one matches. */
  readonly terms: readonly { readonly word: string; readonly prefix: boolean }[]
  /** Whether a document must have all of them, or any. */
  readonly match: 'all' | 'any'
  /** Of these documents alone; one of the scopes they were stored with. */
  readonly scope: string
}

/**
 * Full-text search of one engine. An index is a table with a row per document: `rowid`, the number of the row that the
 * document is of, and `terms`.
 */
export interface FullText {
  /** The statements that make an index. */
  create(index: string): readonly string[]
  /**
   * The value of `terms` for a document. Scopes narrow a search down to what its caller may see where an engine can use
   * them; they are no check.
   */
  terms(words: readonly string[], scopes: readonly string[]): string
  /** That value in an insert. */
  stored(terms: RawBuilder<string>): RawBuilder<string>
  /** The values of `matches` and of `score` for a query. */
  query(query: FullTextQuery): { readonly match: string; readonly rank: string }
  matches(index: string, match: RawBuilder<string>): RawBuilder<SqlBool>
  /** How well a document that matches does so: more is better. */
  score(index: string, rank: RawBuilder<string>): RawBuilder<number>
}

/** What the SQL of one engine looks like where the two differ. */
export interface Features {
  createQueryCompiler(): QueryCompiler
  /** Column type of a 64-bit integer. */
  readonly integer: string
  /** Column type of a text that compares byte by byte. */
  readonly text: string
  readonly fullText: FullText
  /** What follows the closing bracket of a table. */
  readonly table: string
  /** The same for a table that is stored in the order of its primary key. */
  readonly clusteredTable: string
  /** Where the tables are; null in an engine that has no schemas. */
  readonly schema: string | null
  /** True when writers run side by side, so that a row that is read to be changed must be locked. */
  readonly rowLocks: boolean
  /** Has others who ask for the same name wait until the transaction ends; null where writers never run side by side. */
  readonly nameLock: ((name: RawBuilder<string>) => RawBuilder<unknown>) | null
  /** True when `open` guarantees that no other runtime uses the database. */
  readonly exclusive: boolean
}

/** A database as the stores see it. Every error that means something to a host is one of `storeErrors`. */
export interface Engine {
  readonly features: Features

  open(): Promise<void>

  close(): Promise<void>

  /** Runs one statement in a transaction of its own. */
  query<Values, Row>(statement: Statement<Values, Row>, values: Values): Promise<Row[]>

  /**
   * The same for a statement that only reads and may take long: what else the process has to do does not wait for it,
   * where the engine can help it.
   */
  queryAside<Values, Row>(statement: Statement<Values, Row>, values: Values): Promise<Row[]>

  /**
   * Runs the body in one transaction: all of it or nothing, and nothing when it throws. Write transactions that touch
   * the same session behave as if they ran one after the other. The body may run again from its start after a conflict,
   * so it has no effect but its statements.
   */
  transaction<Result>(mode: 'read' | 'write', body: () => Work<Result>): Promise<Result>

  /** Runs the body in a write transaction that excludes every other one, also of other processes. */
  exclusively<Result>(body: () => Work<Result>): Promise<Result>
}
