import { isIPv4 } from 'node:net'
import { isPostgres } from './database.ts'
import { type SurfaceName, surfaceNames } from './surfaces.ts'
import { quoted, readKey, readModel, readVendors, refuse, type Vendors } from './vendors.ts'

export type Framework = 'express' | 'fastify'

export interface ServerConfig {
  readonly host: string
  readonly port: number
  readonly framework: Framework
  /** A file, `:memory:`, or a `postgres://` address. */
  readonly database: string
  readonly surfaces: readonly SurfaceName[]
  /** `loopback`: whoever reaches the loopback interface is the owner. `required`: whoever has the key. */
  readonly auth: 'loopback' | 'required'
  readonly apiKey: string | undefined
  /** The password of the systems that ask for one. Either secret is that of all surfaces when the other is missing. */
  readonly password: string | undefined
  /** `provider/model`; null: the first that the vendor lists. */
  readonly model: string | null
  readonly vendors: Vendors
  /** Whether connectors may start programs. */
  readonly allowProcesses: boolean
  /** Of the vault: 32 bytes as hex or base64. A file beside an embedded database keeps one otherwise. */
  readonly vaultKey: string | undefined
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The configuration that environment variables describe. An empty variable counts as missing. Throws `CONFIG_INVALID`
 * with one line that names the variable; it never repeats a secret.
 */
export function readConfig(environment: Environment): ServerConfig {
  const read = (name: string): string | undefined => environment[name] || undefined
  const host = readHost(read('HOST'))
  const apiKey = readKey('KEELSON_API_KEY', read('KEELSON_API_KEY'))
  const password = readKey('KEELSON_PASSWORD', read('KEELSON_PASSWORD'))
  const database = readDatabase(read('KEELSON_DB'))
  const vendors = readVendors(read)
  return {
    host,
    port: readPort(read('PORT')),
    framework: readFramework(read('KEELSON_FRAMEWORK')),
    database,
    surfaces: readSurfaces(read('KEELSON_SURFACES')),
    auth: readAuth(read('KEELSON_AUTH'), host, apiKey ?? password),
    apiKey,
    password,
    model: readModel(read('KEELSON_MODEL'), vendors),
    vendors,
    allowProcesses: readSwitch('KEELSON_ALLOW_PROCESSES', read('KEELSON_ALLOW_PROCESSES')),
    vaultKey: readKey('KEELSON_VAULT_KEY', read('KEELSON_VAULT_KEY')),
  }
}

function readHost(value = '127.0.0.1'): string {
  const host = value.replace(/^\[(.*)\]$/, '$1')
  if (!/^[\w.:%-]+$/.test(host)) throw refuse(`HOST must be an address or a host name, not ${quoted(value)}`)
  return host
}

export const isLoopback = (host: string): boolean =>
  host.toLowerCase() === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))

function readSwitch(name: string, value = '0'): boolean {
  if (value === '0' || value === '1') return value === '1'
  throw refuse(`${name} must be 1 or 0, not ${quoted(value)}`)
}

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

function readAuth(value: string | undefined, host: string, secret: string | undefined): 'loopback' | 'required' {
  const auth = value ?? (isLoopback(host) && secret === undefined ? 'loopback' : 'required')
  if (auth !== 'loopback' && auth !== 'required') {
    throw refuse(`KEELSON_AUTH must be loopback or required, not ${quoted(auth)}`)
  }
  if (!isLoopback(host) && (value !== 'required' || secret === undefined)) {
    throw refuse(
      `HOST ${host} can be reached from elsewhere: set KEELSON_AUTH=required and KEELSON_API_KEY or KEELSON_PASSWORD`,
    )
  }
  if (auth === 'required' && secret === undefined) {
    throw refuse('KEELSON_AUTH=required needs KEELSON_API_KEY or KEELSON_PASSWORD')
  }
  if (auth === 'loopback' && secret !== undefined) {
    throw refuse(
      'KEELSON_AUTH=loopback lets callers in without a key: leave KEELSON_API_KEY and KEELSON_PASSWORD out, or require them',
    )
  }
  return auth
}
