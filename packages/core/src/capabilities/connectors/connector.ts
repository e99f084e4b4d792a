import type { Json, JsonObject } from '../../kernel/json.ts'
import type { Risk } from '../tools/index.ts'
import { connectorErrors } from './errors.ts'

/** A program that speaks over its standard input and output, started without a shell. */
export interface ProgramTransport {
  readonly type: 'stdio'
  /** Looked for in PATH, unless it is a path. */
  readonly command: string
  readonly args: readonly string[]
  /** Names of the environment variables that get their values from the vault. */
  readonly env: readonly string[]
}

/** A server that speaks streamable HTTP. */
export interface HttpTransport {
  readonly type: 'http'
  readonly url: string
  /** Names of the headers that get their values from the vault. */
  readonly headers: readonly string[]
}

/** A link to an MCP server. Holds no secret: their values are in the vault. */
export interface ConnectorDefinition {
  /** Letters, digits and `-`, at most 32: its tools are called `<name>__<tool>`. */
  readonly name: string
  /** @default the name */
  readonly displayName?: string
  readonly transport: ProgramTransport | HttpTransport
  /** @default true */
  readonly enabled?: boolean
  /** True takes the server at its word when it says that a tool only reads. @default false */
  readonly trustAnnotations?: boolean
  /** Overrides by the tool's own name. */
  readonly risks?: { readonly [tool: string]: Risk }
}

const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?$/
const variablePattern = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/
const headerPattern = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/
/** They would let a secret's value choose which code runs. */
const loaderVariables = /^(?:PATH|NODE_OPTIONS|BASH_ENV|ENV|PYTHONSTARTUP|PERL5OPT|RUBYOPT|(?:LD|DYLD)_.*)$/i
/** They belong to the connection. */
const connectionHeaders = /^(?:host|connection|content-length|content-type|transfer-encoding|accept|mcp-.*|upgrade)$/i
const risks: readonly unknown[] = ['safe', 'caution', 'dangerous', 'forbidden'] satisfies readonly Risk[]
const mostArguments = 128
const mostSecrets = 64
const longestText = 4_096

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= longestText && !value.includes('\0')

const areTexts = (value: unknown, most: number): value is readonly string[] =>
  Array.isArray(value) && value.length <= most && value.every(isText)

/** What is wrong with a definition, one line each; empty when nothing is. Takes anything. */
export function problemsOf(definition: unknown): string[] {
  if (!isObject(definition)) return ['a connector is an object']
  const { displayName, enabled, name, risks: overrides, transport, trustAnnotations } = definition
  const problems: string[] = []
  const need = (fulfilled: boolean, problem: string) => {
    if (!fulfilled) problems.push(problem)
  }
  const isFlag = (value: unknown) => value === undefined || typeof value === 'boolean'
  need(
    typeof name === 'string' && namePattern.test(name) && !(name in Object.prototype),
    'a name has 1 to 32 letters, digits and "-", no "-" at its ends, and is none that every object has',
  )
  need(displayName === undefined || (isText(displayName) && displayName !== ''), 'displayName must be a text')
  need(isFlag(enabled), 'enabled must be true or false')
  need(isFlag(trustAnnotations), 'trustAnnotations must be true or false')
  need(
    overrides === undefined || (isObject(overrides) && Object.values(overrides).every((risk) => risks.includes(risk))),
    `risks names tools, and for each safe, caution, dangerous or forbidden`,
  )
  if (isObject(transport) && transport['type'] === 'stdio') problems.push(...programProblems(transport))
  else if (isObject(transport) && transport['type'] === 'http') problems.push(...httpProblems(transport))
  else problems.push("transport.type must be 'stdio' or 'http'")
  return problems
}

function programProblems({ args, command, env }: Readonly<Record<string, unknown>>): string[] {
  const problems: string[] = []
  if (!isText(command) || command.trim() === '') problems.push('transport.command must name a program')
  if (!areTexts(args, mostArguments)) problems.push(`transport.args must be at most ${mostArguments} texts`)
  if (!areTexts(env, mostSecrets) || !env.every((name) => variablePattern.test(name))) {
    problems.push('transport.env must be names of environment variables')
  } else if (env.some((name) => loaderVariables.test(name))) {
    problems.push('transport.env may not name a variable that decides which code runs')
  }
  return problems
}

function httpProblems({ headers, url }: Readonly<Record<string, unknown>>): string[] {
  const problems: string[] = []
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : null
  if (!parsed || !/^https?:$/.test(parsed.protocol)) problems.push('transport.url must be an http or https address')
  else if (parsed.username !== '' || parsed.password !== '') {
    problems.push('transport.url may hold no user and password; give them as a header')
  }
  if (!areTexts(headers, mostSecrets) || !headers.every((name) => headerPattern.test(name))) {
    problems.push('transport.headers must be names of headers')
  } else if (headers.some((name) => connectionHeaders.test(name))) {
    problems.push('transport.headers may not name a header of the connection itself')
  }
  return problems
}

/** Throws `CONNECTOR_INVALID` with what is wrong. */
export function checkDefinition(definition: ConnectorDefinition): ConnectorDefinition {
  const problems = problemsOf(definition)
  if (problems.length > 0) {
    throw connectorErrors.CONNECTOR_INVALID({
      message: `the connector is not valid: ${problems.join('; ')}`,
      details: { problems },
    })
  }
  return definition
}

/** A definition as JSON, its properties in one order: equal definitions are equal texts. */
export function jsonOf(definition: ConnectorDefinition): JsonObject {
  const { transport } = definition
  const entries: [string, Json | undefined][] = [
    ['name', definition.name],
    ['displayName', definition.displayName],
    [
      'transport',
      transport.type === 'stdio'
        ? { type: 'stdio', command: transport.command, args: [...transport.args], env: [...transport.env] }
        : { type: 'http', url: transport.url, headers: [...transport.headers] },
    ],
    ['enabled', definition.enabled],
    ['trustAnnotations', definition.trustAnnotations],
    ['risks', definition.risks],
  ]
  return Object.fromEntries(entries.filter((entry): entry is [string, Json] => entry[1] !== undefined))
}

/** Names of what the vault has to give. */
export const secretNames = ({ transport }: ConnectorDefinition): readonly string[] =>
  transport.type === 'stdio' ? transport.env : transport.headers

/** Where the vault keeps them. */
export const secretsEntry = (name: string): string => `connector/${name}`
