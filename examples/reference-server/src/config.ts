import { isIP } from 'node:net'

/** The surfaces this server knows, in the order of their mounts. */
export const surfaceNames = ['roboticus'] as const

export type SurfaceName = (typeof surfaceNames)[number]

export interface Config {
  readonly host: string
  readonly port: number
  /** A file, or `:memory:`. */
  readonly database: string
  readonly surfaces: readonly SurfaceName[]
  readonly auth: 'loopback' | 'required'
  readonly apiKey: string | undefined
  /** `provider/model`. */
  readonly model: string
  readonly openai: { readonly apiKey: string | undefined; readonly baseURL: string | undefined }
  /** Folder of the notes that the agent writes. */
  readonly notes: string
}

/** A setting that will not do. The message names it and says what would. */
export class ConfigError extends Error {}

type Environment = Readonly<Record<string, string | undefined>>

/** Reads the settings. Throws a `ConfigError` rather than guess. */
export function readConfig(environment: Environment): Config {
  // An empty variable is how shells and container files say that there is none.
  const value = (name: string): string | undefined => environment[name]?.trim() || undefined

  const host = value('HOST') ?? '127.0.0.1'
  const apiKey = value('KEELSON_API_KEY')
  oneOf('KEELSON_FRAMEWORK', value('KEELSON_FRAMEWORK') ?? 'express', ['express'])
  const auth = oneOf('KEELSON_AUTH', value('KEELSON_AUTH') ?? (isLoopback(host) ? 'loopback' : 'required'), [
    'loopback',
    'required',
  ])
  if (auth === 'required' && apiKey === undefined) {
    throw new ConfigError('KEELSON_API_KEY must be set where KEELSON_AUTH=required (the default off loopback)')
  }
  if (auth === 'loopback' && !isLoopback(host)) {
    throw new ConfigError(`HOST=${host} can be reached from other machines: set KEELSON_AUTH=required and KEELSON_API_KEY`)
  }
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
    throw new ConfigError('KEELSON_API_KEY must be printable ASCII without spaces')
  }
  const openai = { apiKey: value('OPENAI_API_KEY'), baseURL: checkUrl('OPENAI_BASE_URL', value('OPENAI_BASE_URL')) }
  const withProvider = openai.apiKey !== undefined || openai.baseURL !== undefined
  const database = checkDatabase(value('KEELSON_DB') ?? 'keelson.db')
  return {
    host,
    port: checkPort(value('PORT') ?? '3210'),
    database,
    surfaces: checkSurfaces(value('KEELSON_SURFACES')),
    auth,
    apiKey,
    model: checkModel(value('KEELSON_MODEL') ?? (withProvider ? 'openai/gpt-5-mini' : 'demo/demo'), withProvider),
    openai,
    notes: value('KEELSON_NOTES_DIR') ?? 'keelson-notes',
  }
}

/** Addresses that only this machine can reach. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

function oneOf<const Value extends string>(name: string, value: string, allowed: readonly Value[]): Value {
  const found = allowed.find((candidate) => candidate === value)
  if (found === undefined) throw new ConfigError(`${name}=${value} is not known; there is: ${allowed.join(', ')}`)
  return found
}

function checkPort(value: string): number {
  const port = Number(value)
  if (!/^\d{1,5}$/.test(value) || port > 65_535) throw new ConfigError(`PORT=${value} is not a port`)
  return port
}

function checkUrl(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw new ConfigError(`${name} is not an http(s) address`)
  return value
}

function checkDatabase(value: string): string {
  // The address is not repeated: it may hold a password.
  if (/^postgres(ql)?:\/\//.test(value)) throw new ConfigError('KEELSON_DB: there is no Postgres store yet; name a file')
  return value
}

function checkSurfaces(value: string | undefined): readonly SurfaceName[] {
  if (value === undefined) return surfaceNames
  const names = value.split(',').map((name) => oneOf('KEELSON_SURFACES', name.trim(), surfaceNames))
  return surfaceNames.filter((name) => names.includes(name))
}

function checkModel(value: string, withProvider: boolean): string {
  const [provider = '', ...name] = value.split('/')
  if (name.join('/') === '') throw new ConfigError(`KEELSON_MODEL=${value} is not of the form provider/model`)
  oneOf('the provider in KEELSON_MODEL', provider, ['openai', 'demo'])
  if (provider === 'openai' && !withProvider) {
    throw new ConfigError(`KEELSON_MODEL=${value} needs OPENAI_API_KEY, or OPENAI_BASE_URL of a server without keys`)
  }
  return value
}
