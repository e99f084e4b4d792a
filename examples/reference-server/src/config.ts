import { isIPv4 } from 'node:net'
import { dirname, join } from 'node:path'
import { defineErrors } from '@keelson/core'
import { isPostgres } from './database.ts'
import { type SurfaceName, surfaceNames } from './surfaces.ts'

export type Framework = 'express' | 'fastify'

export interface ServerConfig {
  readonly host: string
  readonly port: number
  readonly framework: Framework
  /** A file, `:memory:`, or a `postgres://` address. */
  readonly database: string
  /** Where the agent writes its notes. */
  readonly notes: string
  readonly surfaces: readonly SurfaceName[]
  /** `loopback`: whoever reaches the loopback interface is the owner. `required`: whoever has the key. */
  readonly auth: 'loopback' | 'required'
  readonly apiKey: string | undefined
  /** `provider/model`. */
  readonly model: string
  readonly openai: Vendor
  readonly anthropic: Vendor
}

/** How to reach a vendor; empty when it is not configured. */
interface Vendor {
  readonly apiKey?: string
  readonly baseURL?: string
}

export const configErrors = defineErrors({
  CONFIG_INVALID: { kind: 'bad_request', message: 'the configuration is not valid' },
})

const refuse = (message: string) => configErrors.CONFIG_INVALID({ message })

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The configuration that environment variables describe. An empty variable counts as missing. Throws `CONFIG_INVALID`
 * with one line that names the variable; it never repeats a secret.
 */
export function readConfig(environment: Environment): ServerConfig {
  const read = (name: string): string | undefined => environment[name] || undefined
  const host = readHost(read('HOST'))
  const apiKey = readKey('KEELSON_API_KEY', read('KEELSON_API_KEY'))
  const database = readDatabase(read('KEELSON_DB'))
  const openai = readVendor('OPENAI', read)
  const anthropic = readVendor('ANTHROPIC', read)
  return {
    host,
    port: readPort(read('PORT')),
    framework: readFramework(read('KEELSON_FRAMEWORK')),
    database,
    notes:
      read('KEELSON_NOTES_DIR') ??
      join(database === ':memory:' || isPostgres(database) ? '.' : dirname(database), 'notes'),
    surfaces: readSurfaces(read('KEELSON_SURFACES')),
    auth: readAuth(read('KEELSON_AUTH'), host, apiKey),
    apiKey,
    model: readModel(read('KEELSON_MODEL'), { openai, anthropic }),
    openai,
    anthropic,
  }
}

const quoted = (value: string): string => JSON.stringify(value.slice(0, 100))

function readHost(value = '127.0.0.1'): string {
  const host = value.replace(/^\[(.*)\]$/, '$1')
  if (!/^[\w.:%-]+$/.test(host)) throw refuse(`HOST must be an address or a host name, not ${quoted(value)}`)
  return host
}

export const isLoopback = (host: string): boolean =>
  host.toLowerCase() === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))

function readPort(value = '3210'): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN
  if (!(port <= 65_535)) throw refuse(`PORT must be a whole number from 0 to 65535, not ${quoted(value)}`)
  return port
}

function readFramework(value = 'express'): Framework {
  if (value === 'express' || value === 'fastify') return value
  throw refuse(`KEELSON_FRAMEWORK must be express or fastify, not ${quoted(value)}`)
}

function readDatabase(value = 'keelson.db'): string {
  if (isPostgres(value)) {
    // The address is not repeated: it may hold a password.
    if (!URL.canParse(value)) throw refuse('KEELSON_DB is not a valid postgres:// address')
    return value
  }
  if (/^[a-z][a-z\d+.-]+:\/\//i.test(value) || value.includes('\0') || /[/\\]$/.test(value)) {
    throw refuse('KEELSON_DB must be the name of a file, :memory:, or a postgres:// address')
  }
  return value
}

function readSurfaces(value: string | undefined): readonly SurfaceName[] {
  if (value === undefined) return surfaceNames
  const names = [...new Set(value.split(',').map((name) => name.trim()))]
  return names.map((name) => {
    const known = surfaceNames.find((each) => each === name)
    if (known === undefined) {
      throw refuse(`KEELSON_SURFACES names ${quoted(name)}, which is none of: ${surfaceNames.join(', ')}`)
    }
    return known
  })
}

function readAuth(value: string | undefined, host: string, apiKey: string | undefined): 'loopback' | 'required' {
  const auth = value ?? (isLoopback(host) && apiKey === undefined ? 'loopback' : 'required')
  if (auth !== 'loopback' && auth !== 'required') {
    throw refuse(`KEELSON_AUTH must be loopback or required, not ${quoted(auth)}`)
  }
  if (!isLoopback(host) && (value !== 'required' || apiKey === undefined)) {
    throw refuse(`HOST ${host} can be reached from elsewhere: set KEELSON_AUTH=required and KEELSON_API_KEY`)
  }
  if (auth === 'required' && apiKey === undefined) throw refuse('KEELSON_AUTH=required needs KEELSON_API_KEY')
  if (auth === 'loopback' && apiKey !== undefined) {
    throw refuse('KEELSON_AUTH=loopback lets callers in without a key: leave KEELSON_API_KEY out, or require it')
  }
  return auth
}

function readKey(name: string, value: string | undefined): string | undefined {
  if (value !== undefined && !/^[\x21-\x7e]+$/.test(value)) {
    throw refuse(`${name} must be printable ASCII without spaces`)
  }
  return value
}

function readVendor(name: string, read: (name: string) => string | undefined): Vendor {
  const apiKey = readKey(`${name}_API_KEY`, read(`${name}_API_KEY`))
  const baseURL = read(`${name}_BASE_URL`)
  if (baseURL !== undefined) {
    const url = URL.parse(baseURL)
    if (url === null || !/^https?:$/.test(url.protocol)) throw refuse(`${name}_BASE_URL must be an http or https URL`)
    if (url.username !== '' || url.password !== '') {
      throw refuse(`${name}_BASE_URL must not hold credentials: use ${name}_API_KEY`)
    }
  }
  return { ...(apiKey === undefined ? {} : { apiKey }), ...(baseURL === undefined ? {} : { baseURL }) }
}

export const isReachable = ({ apiKey, baseURL }: Vendor): boolean => apiKey !== undefined || baseURL !== undefined

/** What is asked when nothing else is named, for each vendor that can be. */
const defaultModels = { openai: 'openai/gpt-5-mini', anthropic: 'anthropic/claude-sonnet-5-5' } as const

function readModel(value: string | undefined, vendors: Readonly<Record<keyof typeof defaultModels, Vendor>>): string {
  const names = Object.keys(defaultModels) as (keyof typeof defaultModels)[]
  const first = names.find((name) => isReachable(vendors[name]))
  const model = value ?? (first === undefined ? 'demo/demo' : defaultModels[first])
  if (model === 'demo/demo') return model
  const vendor = names.find((name) => model.startsWith(`${name}/`))
  if (vendor === undefined || !/^[^/]+\/[!-~]+$/.test(model)) {
    const able = names.map((name) => `${name}/<model>`).join(' or ')
    throw refuse(`KEELSON_MODEL must be demo/demo or ${able}, not ${quoted(model)}`)
  }
  if (!isReachable(vendors[vendor])) {
    const variable = vendor.toUpperCase()
    throw refuse(`KEELSON_MODEL ${quoted(model)} needs ${variable}_API_KEY or ${variable}_BASE_URL`)
  }
  return model
}
