import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { QueryRecord } from './query.ts'
import type { Route } from './surface.ts'

type ParameterNames<Path extends string> = Path extends `${string}:${infer Rest}`
  ? Rest extends `${infer Name}/${infer Tail}`
    ? Name | ParameterNames<`/${Tail}`>
    : Rest
  : never

/** The parameters that a path names: `{ id: string }` for `/sessions/:id`. */
export type PathParams<Path extends string> = { readonly [Name in ParameterNames<Path>]: string }

/**
 * Gives one route its types: `route<Client>()({ path, query, body, handle })` knows the parameters from the path, and
 * query and body from their schemas. A route without a query schema gets the query's strings as they came.
 */
export const route =
  <Client>() =>
  <const Path extends string, Query = QueryRecord, Body = undefined>(
    definition: Omit<Route<Client, PathParams<Path>, Query, Body>, 'path' | 'query' | 'body'> & {
      readonly path: Path
      readonly query?: StandardSchemaV1<unknown, Query>
      readonly body?: StandardSchemaV1<unknown, Body>
    },
  ): Route<Client, PathParams<Path>, Query, Body> =>
    definition
