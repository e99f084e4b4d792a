import type { IncomingMessage } from 'node:http'

const forwarded = /^(?:forwarded|via|x-real-ip|x-forwarded-.*)$/

/**
 * Why a request is not from a program of this machine that means this server; null when it is. A page of the web can
 * reach the loopback interface under a name of its own, and a reverse proxy brings strangers there.
 */
function refusalOf({ headers, socket }: IncomingMessage, ownHost: string): string | null {
  const header = Object.keys(headers).find((name) => forwarded.test(name))
  if (header !== undefined) return `requests that were forwarded (${header}) need KEELSON_AUTH=required`
  const names = ['localhost', '127.0.0.1', '[::1]', ownHost.includes(':') ? `[${ownHost}]` : ownHost.toLowerCase()]
  const port = socket.localPort
  const host = headers.host?.toLowerCase()
  const known = names.some((name) => host === `${name}:${port}` || (port === 80 && host === name))
  return known ? null : 'this server answers to localhost only'
}

export interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The answer to a request that is not let in; null for one that is. */
export type Guard = (request: IncomingMessage) => Refusal | null

/** Lets in what comes from this machine and means this server. */
export const localOnly =
  (ownHost: string): Guard =>
  (request) => {
    const error = refusalOf(request, ownHost)
    if (error === null) return null
    const headers = {
      'content-type': 'application/json',
      'x-content-type-options': 'nosniff',
      connection: 'close',
    }
    return { status: 403, headers, body: JSON.stringify({ error }) }
  }
