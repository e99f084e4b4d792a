import type Anthropic from '@anthropic-ai/sdk'
import { boundedFetch } from '../bounded-fetch.ts'
import { providerErrors } from '../errors.ts'
import type { ApiKey } from '../secrets.ts'

export type Sdk = typeof import('@anthropic-ai/sdk')

/** Loads the vendor's package; says how to get it when it is not there. */
export async function loadSdk(load: () => Promise<Sdk> = () => import('@anthropic-ai/sdk')): Promise<Sdk> {
  try {
    return await load()
  } catch (cause) {
    const { code, message } = cause as { code?: unknown; message?: unknown }
    if (code !== 'ERR_MODULE_NOT_FOUND' || !String(message).includes("'@anthropic-ai/sdk'")) throw cause
    throw providerErrors.PROVIDER_PACKAGE_MISSING({
      message: 'the package "@anthropic-ai/sdk" is not installed; run: npm install @anthropic-ai/sdk',
      details: { package: '@anthropic-ai/sdk' },
      cause,
    })
  }
}

export interface ClientOptions {
  readonly baseURL: string
  readonly apiKey: ApiKey
  readonly headers: Readonly<Record<string, string>>
  readonly fetch: typeof globalThis.fetch | undefined
}

/** A client that takes no key and no address from the environment, never retries, and never logs what was said. */
export function makeClient(sdk: Sdk, { baseURL, apiKey, headers, fetch }: ClientOptions): Anthropic {
  return new sdk.Anthropic({
    baseURL,
    // Without a key it would look for one in the environment and on the disk; a null header takes it out again.
    apiKey: apiKey ?? 'none',
    webhookKey: null,
    maxRetries: 0,
    logLevel: 'off',
    openTelemetry: false,
    defaultHeaders: apiKey === undefined ? { authorization: null, ...headers } : headers,
    fetch: boundedFetch(fetch),
  })
}
