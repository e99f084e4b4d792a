import { createHash, timingSafeEqual } from 'node:crypto'
import type { HttpRequest } from '../../http/message.ts'
import { type Principal, singleOwner } from '../../kernel/context.ts'
import type { Settings } from './options.ts'

/**
 * The system's own scheme: a static key in `x-api-key`, or else as a bearer token. Without a configured key, loopback
 * peers where they are trusted; nobody otherwise.
 */
export function authenticator({ apiKey, trustLoopback }: Settings): (request: HttpRequest) => Principal | null {
  if (apiKey === null) {
    return ({ remoteAddress }) => (trustLoopback && isLoopback(remoteAddress) ? singleOwner('loopback', true) : null)
  }
  const expected = digest(apiKey)
  return (request) => {
    const given = request.header('x-api-key') ?? bearerToken(request.header('authorization'))
    return given !== undefined && timingSafeEqual(digest(given), expected) ? singleOwner('api-key') : null
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

const bearerToken = (header: string | undefined): string | undefined =>
  header === undefined ? undefined : /^bearer +(\S+)\s*$/i.exec(header)?.[1]

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && (address === '::1' || /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/i.test(address))
