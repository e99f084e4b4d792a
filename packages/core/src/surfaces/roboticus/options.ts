import type { Authority } from '../../capabilities/tools/index.ts'
import { defineErrors } from '../../kernel/errors.ts'

export interface RoboticusOptions {
  /** Id of the agent that answers. @default the runtime's first agent */
  readonly agent?: string | undefined
  /** The static key of the API, printable ASCII. Without it only `trustLoopback` lets anybody in. */
  readonly apiKey?: string | undefined
  /**
   * Lets peers on the loopback interface in while there is no key. For a server that only its own machine can reach and
   * that refuses foreign Host and forwarded headers: a reverse proxy on the same machine is a loopback peer too.
   * @default false
   */
  readonly trustLoopback?: boolean | undefined
  /** Whether messages without a session share one, or have one per peer or group. @default 'agent' */
  readonly scopeMode?: 'agent' | 'peer' | 'group' | undefined
  /** What operators act with; below `creator` tools begin to ask. Other callers act as `external`. @default 'creator' */
  readonly authority?: Authority | undefined
  /** Whether the backfill of nicknames asks the agent's model, or goes by rules alone. @default 'model' */
  readonly nicknames?: 'model' | 'rules' | undefined
  /** The answer to a message when no model answers. */
  readonly providerFailureReply?: string | undefined
  /** Milliseconds that a message may take, tools included. @default 300_000 */
  readonly turnMs?: number | undefined
}

/** The options with their defaults. */
export interface Settings {
  readonly agent: string | null
  readonly apiKey: string | null
  readonly trustLoopback: boolean
  readonly scopeMode: 'agent' | 'peer' | 'group'
  readonly authority: Authority
  readonly nicknames: 'model' | 'rules'
  readonly providerFailureReply: string
  readonly turnMs: number
}

export const optionErrors = defineErrors({
  SURFACE_OPTIONS_INVALID: { kind: 'bad_request', message: 'an option of the roboticus surface is not valid' },
})

const apology =
  'I am sorry, I cannot answer right now: none of the configured model providers responded. Please try again in a moment.'

/** Throws `SURFACE_OPTIONS_INVALID`. */
export function settingsOf(options: RoboticusOptions): Settings {
  const { apiKey, agent } = options
  // An empty key from an empty environment variable must not become a key that everybody knows.
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
    throw optionErrors.SURFACE_OPTIONS_INVALID({
      message: 'apiKey must have at least one character, all printable ASCII without spaces; leave it out for none',
    })
  }
  const turnMs = options.turnMs ?? 300_000
  if (!Number.isInteger(turnMs) || turnMs < 1 || turnMs >= 2 ** 31) {
    throw optionErrors.SURFACE_OPTIONS_INVALID({ message: 'turnMs must be a whole number of milliseconds from 1' })
  }
  return {
    agent: agent ?? null,
    apiKey: apiKey ?? null,
    trustLoopback: options.trustLoopback ?? false,
    scopeMode: options.scopeMode ?? 'agent',
    authority: options.authority ?? 'creator',
    nicknames: options.nicknames ?? 'model',
    providerFailureReply: options.providerFailureReply ?? apology,
    turnMs,
  }
}
