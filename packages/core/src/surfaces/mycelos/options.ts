import type { HttpRequest } from '../../http/message.ts'
import { defineErrors } from '../../kernel/errors.ts'
import { strayOption } from '../../kernel/options.ts'

export interface MycelosOptions {
  /** The password of the API. Without one every route is open, as in the original: see `unprotected` of a surface. */
  readonly password?: string | undefined
  /** Id of the agent that answers when no other was asked for. @default the runtime's first agent */
  readonly agent?: string | undefined
  /**
   * The address that the server listens on. On a loopback address other machines are refused, whatever they prove; on
   * any other a password is needed. @default '127.0.0.1'
   */
  readonly bindHost?: string | undefined
  /** Further origins whose pages may write, e.g. `https://app.example`. Those of the server itself and of pages on this machine always may. */
  readonly origins?: readonly string[] | undefined
  /**
   * Whose wrong passwords are counted together and slow one caller down. Behind a proxy all callers have its address, so
   * that anybody's guesses keep everybody waiting: tell then the address that the proxy has seen.
   * @default the address of the peer
   */
  readonly clientAddress?: ((request: HttpRequest) => string | undefined) | undefined
  /** Lets a server without a password be reached from elsewhere. @default false */
  readonly allowUnprotected?: boolean | undefined
  /** Who is told to be using it. @default { name: 'Owner', language: 'en' } */
  readonly user?: {
    readonly name: string
    readonly email?: string
    readonly language?: string
    readonly timezone?: string
  }
}

/** The options with their defaults. */
export interface Settings {
  readonly password: string | null
  readonly agent: string | null
  readonly bindHost: string
  readonly onLoopback: boolean
  readonly origins: ReadonlySet<string>
  readonly clientAddress: (request: HttpRequest) => string | undefined
  readonly user: {
    readonly id: string
    readonly name: string
    readonly email: string | null
    readonly language: string
    readonly timezone: string | null
  }
}

const optionErrors = defineErrors({
  SURFACE_OPTIONS_INVALID: { kind: 'bad_request', message: 'an option of the mycelos surface is not valid' },
})

const known: Readonly<Record<keyof MycelosOptions, true>> = {
  password: true,
  agent: true,
  bindHost: true,
  origins: true,
  allowUnprotected: true,
  user: true,
  clientAddress: true,
}

/** Throws `SURFACE_OPTIONS_INVALID`. */
export function settingsOf(options: MycelosOptions): Settings {
  const { agent, bindHost = '127.0.0.1', origins = [], password, user } = options
  const refuse = (problem: string) => optionErrors.SURFACE_OPTIONS_INVALID({ message: `mycelos: ${problem}` })
  const stray = strayOption(options, known)
  if (stray !== null) throw refuse(stray)
  // An empty password from an empty environment variable must not become one that everybody knows.
  if (password !== undefined && password.trim() === '') {
    throw refuse('password must not be blank; leave it out for none')
  }
  const onLoopback = isLoopbackHost(bindHost)
  if (!onLoopback && password === undefined && options.allowUnprotected !== true) {
    throw refuse(`a server on ${bindHost} can be reached from elsewhere: give it a password`)
  }
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      throw refuse(`origins: ${JSON.stringify(origin)} is not an origin such as https://app.example`)
    }
  }
  return {
    password: password ?? null,
    agent: agent ?? null,
    bindHost,
    onLoopback,
    origins: new Set(origins),
    clientAddress: options.clientAddress ?? (({ remoteAddress }) => remoteAddress),
    user: {
      id: 'default',
      name: user?.name ?? 'Owner',
      email: user?.email ?? null,
      language: user?.language ?? 'en',
      timezone: user?.timezone ?? null,
    },
  }
}

/** True for a name or address of this machine alone. */
export const isLoopbackHost = (host: string): boolean => {
  const bare = host.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  return bare === 'localhost' || bare === '::1' || /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/.test(bare)
}
