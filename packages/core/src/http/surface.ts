import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Principal } from '../kernel/context.ts'
import type { KeelsonError } from '../kernel/errors.ts'
import type { Json } from '../kernel/json.ts'
import type { HttpRequest, HttpStream } from './message.ts'
import type { SocketSession } from './websocket.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/**
 * What a route answers. `json` is sent as JSON, `text` and `stream` as they are with `type` as content type. `socket`
 * opens the WebSocket that was asked for; a request that asked for none gets a 426.
 */
export type Answer = { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } & (
  | { readonly json: unknown }
  | { readonly text: string; readonly type: string }
  | { readonly stream: HttpStream; readonly type: string }
  | { readonly empty: true }
  | { readonly socket: SocketSession }
)

export interface Call<Client, Params, Query, Body> {
  /** The runtime, acting as whoever called. On an open route without credentials: as nobody, with no rows in reach. */
  readonly client: Client
  /** Null on an open route without credentials. */
  readonly principal: Principal | null
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly request: HttpRequest
}

/** One documented route: where it is, what it takes and answers, and the function that translates. */
export interface Route<Client, Params = Readonly<Record<string, string>>, Query = unknown, Body = unknown> {
  readonly method: Method
  /** Parameters as `:name`, e.g. `/api/sessions/:id`. */
  readonly path: string
  /** The section of the system's document; becomes the OpenAPI tag. */
  readonly section: string
  readonly summary: string
  /** True when it needs no credentials. */
  readonly open?: boolean
  /** What else proves a caller here, by name; for OpenAPI. An open route that has it asks for proof itself. */
  readonly security?: Readonly<Record<string, SecurityScheme>>
  /** True for a route that the system's document does not have. */
  readonly beyondDocument?: boolean
  /** True when it starts processes or installs code. Mounted only where the host allows that. */
  readonly startsProcesses?: boolean
  readonly query?: StandardSchemaV1<unknown, Query>
  /** Schema of the JSON body. Without it no body is read. */
  readonly body?: StandardSchemaV1<unknown, Body>
  /** True when the body may be missing altogether: the schema then sees `{}`. */
  readonly bodyOptional?: boolean
  /** Schema of the answer's JSON; for OpenAPI. An event stream names its frames' schema instead. */
  readonly response: StandardSchemaV1
  readonly stream?: boolean
  /** True for a page of HTML; `response` is then a text. */
  readonly page?: boolean
  /** True for a WebSocket: `handle` answers with `socket`, or says why not. `response` is the schema of its frames. */
  readonly socket?: boolean
  handle(call: Call<Client, Params, Query, Body>): Answer | Promise<Answer>
}

// biome-ignore lint/suspicious/noExplicitAny: a list of routes forgets each one's own query and body
export type AnyRoute<Client> = Route<Client, Readonly<Record<string, string>>, any, any>

/** How callers prove who they are, as OpenAPI says it. */
export type SecurityScheme = { readonly description?: string } & (
  | { readonly type: 'apiKey'; readonly in: 'header' | 'query' | 'cookie'; readonly name: string }
  | { readonly type: 'http'; readonly scheme: string; readonly bearerFormat?: string }
)

/** The HTTP API of one documented system: its routes and the conventions that hold for all of them. */
export interface Surface<Client> {
  readonly id: string
  readonly routes: readonly AnyRoute<Client>[]
  /** Most bytes of a request body. */
  readonly bodyLimit: number
  /** Sent with every answer. */
  readonly headers: Readonly<Record<string, string>>
  /** The system's own scheme, asked when the host's `authenticate` has no opinion. Null: not proven. */
  authenticate(request: HttpRequest): Principal | null | Promise<Principal | null>
  /**
   * True when `authenticate` asks for no secret, since none was configured. Where such a surface shares its prefix with
   * one that asks for one, callers prove themselves to that one instead.
   */
  readonly unprotected?: boolean
  /** True when `authenticate` lets nobody in, since no secret was configured: the host has to say who calls. */
  readonly closed?: boolean
  /** Refuses a request whoever sends it, by throwing: e.g. one that a foreign page had the browser send. Asked first. */
  admit?(request: HttpRequest): void | Promise<void>
  /**
   * Whether a write under ambient credentials may come from this origin although it is not that of the host. Asked where
   * there is one and it differs.
   */
  trustsOrigin?(origin: string, host: string | undefined): boolean
  /** The system's error body and status. The request is missing where the answer is only described. */
  encodeError(
    error: KeelsonError,
    request?: HttpRequest,
  ): { status: number; body: Json; headers?: Readonly<Record<string, string>> }
  /** What `authenticate` looks at, by name; for OpenAPI. */
  readonly security?: Readonly<Record<string, SecurityScheme>>
  /** Schema of `encodeError`'s bodies; for OpenAPI. */
  readonly errorSchema?: StandardSchemaV1
}

/** Where a surface answers. */
export interface Mount<Client> {
  /** Before every path of the surface, e.g. `/ai`; `/` for none. */
  readonly prefix: string
  readonly surface: Surface<Client>
  /**
   * True when all below the prefix is the surface's: unknown paths and methods are then answered with its 404 and 405,
   * and mounts with shorter prefixes end here. Otherwise they are left to the host.
   */
  readonly exclusive?: boolean
}

/** Who answers where several surfaces could: a surface's id, or a function that gives one for each request. */
export type Winner = string | ((request: HttpRequest) => string)

export interface MountRules {
  /**
   * The winner of each conflict between surfaces, by method and path, e.g. `{ 'POST /api/chat': 'mycelos' }`. Where a
   * static path meets another surface's parameter, the path is the static one. Names no request that is not in conflict.
   */
  readonly resolve?: Readonly<Record<string, Winner>>
  /** Whether routes that start processes or install code are mounted. @default false */
  readonly allowProcesses?: boolean
}
