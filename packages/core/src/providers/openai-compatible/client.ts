import type OpenAI from 'openai'
import { boundedFetch } from '../bounded-fetch.ts'
import { providerErrors } from '../errors.ts'

export type Sdk = typeof import('openai')

/** Loads the vendor's package; says how to get it when it is not there. */
export async function loadSdk(load: () => Promise<Sdk> = () => import('openai')): Promise<Sdk> {
  try {
    return await load()
  } catch (cause) {
    const { code, message } = cause as { code?: unknown; message?: unknown }
    if (code !== 'ERR_MODULE_NOT_FOUND' || !String(message).includes("'openai'")) throw cause
    throw providerErrors.PROVIDER_PACKAGE_MISSING({
      message: 'the package "openai" is not installed; run: npm install openai',
      details: { package: 'openai' },
      cause,
    })
  }
}

export interface ClientOptions {
  readonly baseURL: string
  readonly apiKey: string | (() => Promise<string>) | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly fetch: typeof globalThis.fetch | undefined
}

/** A client that takes nothing from the environment, never retries, and never logs what was said. */
export function makeClient(sdk: Sdk, { baseURL, apiKey, headers, fetch }: ClientOptions): OpenAI {
  return new sdk.OpenAI({
    baseURL,
    // The constructor insists on a key; a null header takes it out of the request again.
    apiKey: apiKey ?? 'none',
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    maxRetries: 0,
    logLevel: 'off',
    defaultHeaders: apiKey === undefined ? { authorization: null, ...headers } : headers,
    fetch: boundedFetch(fetch),
  })
}
