import { defineErrors, type Provider } from '@keelson/core'
import { anthropic } from '@keelson/core/providers/anthropic'
import { demo } from '@keelson/core/providers/demo'
import { openai } from '@keelson/core/providers/openai'
import { openaiCompatible } from '@keelson/core/providers/openai-compatible'

/** Which vendors the environment names; one that is missing is not asked. Each is the prefix of its models. */
export interface Vendors {
  readonly openai?: { readonly apiKey?: string; readonly baseURL?: string; readonly api: 'responses' | 'chat' }
  readonly anthropic?: { readonly apiKey?: string; readonly baseURL?: string }
  readonly ollama?: { readonly baseURL: string }
}

export type VendorName = keyof Vendors

export const configErrors = defineErrors({
  CONFIG_INVALID: { kind: 'bad_request', message: 'the configuration is not valid' },
})

export const refuse = (message: string) => configErrors.CONFIG_INVALID({ message })

export const quoted = (value: string): string => JSON.stringify(value.slice(0, 100))

/** The value of an environment variable; undefined when it is missing or empty. */
export type Read = (name: string) => string | undefined

/** Which variables name a vendor, what they mean, and which model is taken where none is named. */
interface Vendor<Config> {
  readonly variables: string
  /** Null: the first that the vendor lists. */
  readonly model: string | null
  read(read: Read): Config | undefined
  /** Where its models are, to be shown. */
  at(config: Config): string
  provider(config: Config): Provider
}

/** In the order in which the default model is looked for. */
const vendors: { readonly [Name in VendorName]-?: Vendor<NonNullable<Vendors[Name]>> } = {
  openai: {
    variables: 'OPENAI_API_KEY or OPENAI_BASE_URL',
    model: 'gpt-5-mini',
    read(read) {
      const apiKey = readKey('OPENAI_API_KEY', read('OPENAI_API_KEY'))
      const baseURL = readURL('OPENAI_BASE_URL', read('OPENAI_BASE_URL'), 'OPENAI_API_KEY')
      const api = read('OPENAI_API') ?? 'responses'
      if (api !== 'responses' && api !== 'chat')
        throw refuse(`OPENAI_API must be responses or chat, not ${quoted(api)}`)
      if (apiKey === undefined && baseURL === undefined) return undefined
      return { api, ...(apiKey === undefined ? {} : { apiKey }), ...(baseURL === undefined ? {} : { baseURL }) }
    },
    at: ({ baseURL }) => (baseURL === undefined ? 'OpenAI' : new URL(baseURL).host),
    provider: (config) => openai(config),
  },
  anthropic: {
    variables: 'ANTHROPIC_API_KEY or ANTHROPIC_BASE_URL',
    model: 'claude-sonnet-5-5',
    read(read) {
      const apiKey = readKey('ANTHROPIC_API_KEY', read('ANTHROPIC_API_KEY'))
      const baseURL = readURL('ANTHROPIC_BASE_URL', read('ANTHROPIC_BASE_URL'), 'ANTHROPIC_API_KEY')
      if (apiKey === undefined && baseURL === undefined) return undefined
      return { ...(apiKey === undefined ? {} : { apiKey }), ...(baseURL === undefined ? {} : { baseURL }) }
    },
    at: ({ baseURL }) => (baseURL === undefined ? 'Anthropic' : new URL(baseURL).host),
    provider: (config) => anthropic(config),
  },
  ollama: {
    variables: 'OLLAMA_HOST',
    model: null,
    read(read) {
      const baseURL = readOllamaHost(read('OLLAMA_HOST'))
      return baseURL === undefined ? undefined : { baseURL }
    },
    at: ({ baseURL }) => new URL(baseURL).host,
    provider: ({ baseURL }) => openaiCompatible({ server: 'ollama', baseURL }),
  },
}

const names = Object.keys(vendors) as readonly VendorName[]

export function readVendors(read: Read): Vendors {
  return Object.fromEntries(
    names.flatMap((name) => {
      const config = vendors[name].read(read)
      return config === undefined ? [] : [[name, config]]
    }),
  )
}

/** `provider/model`; null when it is the first that the vendor lists. */
export function readModel(value: string | undefined, named: Vendors): string | null {
  if (value === undefined) {
    const first = names.find((name) => named[name] !== undefined)
    if (first === undefined) return 'demo/demo'
    const { model } = vendors[first]
    return model === null ? null : `${first}/${model}`
  }
  if (value === 'demo/demo') return value
  const name = names.find((each) => value.startsWith(`${each}/`))
  if (name === undefined || !/^\w+\/[!-~]+$/.test(value)) {
    const known = names.map((each) => `${each}/<model>`).join(', ')
    throw refuse(`KEELSON_MODEL must be demo/demo or one of ${known}, not ${quoted(value)}`)
  }
  if (named[name] === undefined) throw refuse(`KEELSON_MODEL ${quoted(value)} needs ${vendors[name].variables}`)
  return value
}

/** What every vendor's own reader returned is what its own functions are given. */
const used = <Name extends VendorName>(name: Name, named: Vendors) => {
  const config = named[name]
  const vendor = vendors[name] as Vendor<NonNullable<Vendors[Name]>>
  return config === undefined ? [] : [{ at: () => vendor.at(config), provider: () => vendor.provider(config) }]
}

/** The providers of the vendors that are named, and the demo model. */
export const providersOf = (named: Vendors): readonly Provider[] => [
  demo(),
  ...names.flatMap((name) => used(name, named).map(({ provider }) => provider())),
]

/** Where a model is, to be shown. */
export function placeOf(model: string, named: Vendors): string {
  const name = names.find((each) => model.startsWith(`${each}/`))
  return (name && used(name, named)[0]?.at()) ?? 'here'
}

const listingMs = 10_000

/** The first model that a vendor lists and that can use tools, else the first. Throws `CONFIG_INVALID` without any. */
export async function firstModel(providers: readonly Provider[]): Promise<string> {
  for (const provider of providers) {
    const models = await provider.discover?.(AbortSignal.timeout(listingMs)).catch((cause) => {
      throw configErrors.CONFIG_INVALID({
        message: `${provider.id} does not list its models; name one with KEELSON_MODEL`,
        cause,
      })
    })
    const model = models?.find(({ tools }) => tools !== false) ?? models?.[0]
    if (model) return `${provider.id}/${model.name}`
  }
  throw refuse('the vendor has no models yet; add one there, or name one with KEELSON_MODEL')
}

export function readKey(name: string, value: string | undefined): string | undefined {
  if (value !== undefined && !/^[\x21-\x7e]+$/.test(value)) {
    throw refuse(`${name} must be printable ASCII without spaces`)
  }
  return value
}

function readURL(name: string, value: string | undefined, key: string): string | undefined {
  if (value === undefined) return undefined
  const url = URL.parse(value)
  if (url === null || !/^https?:$/.test(url.protocol)) throw refuse(`${name} must be an http or https URL`)
  if (url.username !== '' || url.password !== '') throw refuse(`${name} must not hold credentials: use ${key}`)
  return value
}

/** As Ollama itself reads it: the scheme and the port may be missing, and an address to listen on is this machine. */
function readOllamaHost(value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  const hasScheme = /^https?:\/\//i.test(value)
  const url = URL.parse(hasScheme ? value : `http://${value}`)
  if (url === null || url.hostname === '' || url.username !== '' || url.password !== '') {
    throw refuse('OLLAMA_HOST must be an address like 127.0.0.1:11434 or https://ollama.example.org')
  }
  if (!hasScheme && url.port === '') url.port = '11434'
  if (url.hostname === '0.0.0.0' || url.hostname === '[::]') url.hostname = '127.0.0.1'
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}/v1`
}
