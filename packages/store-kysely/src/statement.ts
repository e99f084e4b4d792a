import { type Compilable, type RawBuilder, sql } from 'kysely'
import type { SqlValue, Statement } from './engine.ts'

/** Stands for a value in a query that is built once; tells where to take it from when the statement is run. */
class Placeholder {
  readonly pick: (values: never) => SqlValue

  constructor(pick: (values: never) => SqlValue) {
    this.pick = pick
  }
}

/** Names a value of the statement inside the query. */
export interface Parameters<Values> {
  <Name extends keyof Values & string>(name: Name): RawBuilder<Values[Name]>
  readonly values?: Values
}

interface Compiled {
  readonly sql: string
  readonly reads: boolean
  readonly slots: readonly unknown[]
}

const placeholder = <Value>(pick: (values: never) => SqlValue): RawBuilder<Value> =>
  sql<Value>`${new Placeholder(pick)}`

function checked(value: unknown): SqlValue {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new RangeError('not a safe integer')
  return value as SqlValue
}

function lazy<Values, Row>(build: () => Compilable<Row>): Statement<Values, Row> {
  let made: Compiled | undefined
  const compiled = (): Compiled => {
    if (made === undefined) {
      const { sql: text, parameters, query } = build().compile()
      made = { sql: text, reads: query.kind === 'SelectQueryNode', slots: parameters }
    }
    return made
  }
  return {
    get sql() {
      return compiled().sql
    },
    get reads() {
      return compiled().reads
    },
    bind(values) {
      const { slots } = compiled()
      const bound = new Array<SqlValue>(slots.length)
      for (let index = 0; index < slots.length; index += 1) {
        const slot = slots[index]
        bound[index] = checked(slot instanceof Placeholder ? slot.pick(values as never) : slot)
      }
      return bound
    },
  }
}

/** A query with named values, compiled when it is first used and never again. */
export function statement<Values, Row>(
  build: (parameter: Parameters<Values>) => Compilable<Row>,
): Statement<Values, Row> {
  return lazy(() => build((name) => placeholder((values: Record<string, SqlValue>) => values[name] as SqlValue)))
}

type Expressions<Row> = { [Column in keyof Row]: RawBuilder<Row[Column]> }

/** Named values for every column listed, for an insert. */
export function columnsOf<Values, Column extends keyof Values & string>(
  parameter: Parameters<Values>,
  columns: readonly Column[],
): Expressions<Pick<Values, Column>> {
  return Object.fromEntries(columns.map((column) => [column, parameter(column)])) as Expressions<Pick<Values, Column>>
}

/** A statement about several rows, compiled once per number of rows. */
export function rowsStatement<Row extends object, Result = unknown>(
  columns: readonly (keyof Row & string)[],
  build: (rows: Expressions<Row>[]) => Compilable<Result>,
): (count: number) => Statement<readonly Row[], Result> {
  return remembered((count: number) =>
    lazy(() =>
      build(
        Array.from(
          { length: count },
          (_, index) =>
            Object.fromEntries(
              columns.map((column) => [
                column,
                placeholder((rows: readonly Record<string, SqlValue>[]) => rows[index]?.[column] as SqlValue),
              ]),
            ) as Expressions<Row>,
        ),
      ),
    ),
  )
}

/** Makes a thing the first time its key is asked for and keeps it. For few keys. */
export function remembered<Key extends string | number, Made>(make: (key: Key) => Made): (key: Key) => Made {
  const made = new Map<Key, Made>()
  return (key) => {
    let value = made.get(key)
    if (value === undefined) {
      value = make(key)
      made.set(key, value)
    }
    return value
  }
}
