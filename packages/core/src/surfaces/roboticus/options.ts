import { type Authority, defaultPolicy } from '../../capabilities/tools/index.ts'
import { defineErrors } from '../../kernel/errors.ts'
import { strayOption } from '../../kernel/options.ts'

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

const known: Readonly<Record<keyof RoboticusOptions, true>> = {
  agent: true,
  apiKey: true,
  trustLoopback: true,
  scopeMode: true,
  authority: true,
  nicknames: true,
  providerFailureReply: true,
  turnMs: true,
}

/** Throws `SURFACE_OPTIONS_INVALID`. */
export function settingsOf(options: RoboticusOptions): Settings {
  const { apiKey, agent, authority = 'creator', nicknames = 'model', scopeMode = 'agent' } = options
  const need = (fulfilled: boolean, problem: string | null) => {
    if (!fulfilled) throw optionErrors.SURFACE_OPTIONS_INVALID({ message: `roboticus: ${problem}` })
  }
  const stray = strayOption(options, known)
  need(stray === null, stray)
  // An empty key from an empty environment variable must not become a key that everybody knows.
  need(
    apiKey === undefined || /^[\x21-\x7e]+$/.test(apiKey),
    'apiKey must have at least one character, all printable ASCII without spaces; leave it out for none',
  )
  const turnMs = options.turnMs ?? 300_000
  need(
    Number.isInteger(turnMs) && turnMs >= 1 && turnMs < 2 ** 31,
    'turnMs must be a whole number of milliseconds from 1',
  )
  need(Object.hasOwn(defaultPolicy, authority), `authority must be one of ${Object.keys(defaultPolicy).join(', ')}`)
  need(['agent', 'peer', 'group'].includes(scopeMode), "scopeMode must be 'agent', 'peer' or 'group'")
  need(nicknames === 'model' || nicknames === 'rules', "nicknames must be 'model' or 'rules'")
  return {
    agent: agent ?? null,
    apiKey: apiKey ?? null,
    trustLoopback: options.trustLoopback ?? false,
    scopeMode,
    authority,
    nicknames,
    providerFailureReply: options.providerFailureReply ?? apology,
    turnMs,
  }
}
