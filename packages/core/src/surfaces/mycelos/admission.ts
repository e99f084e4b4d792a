import type { HttpRequest } from '../../http/message.ts'
import { defineErrors } from '../../kernel/errors.ts'
import { isLoopbackHost, type Settings } from './options.ts'

export const admissionErrors = defineErrors({
  CROSS_ORIGIN: { kind: 'forbidden', message: 'Cross-origin request blocked (CSRF)' },
  NOT_LOOPBACK: { kind: 'forbidden', message: 'Only this machine may use this server; bind it to another address' },
  NOT_MEANT: {
    kind: 'forbidden',
    message: 'Without a password this server answers programs of this machine only, under its own name',
  },
})

const reads = new Set(['GET', 'HEAD', 'OPTIONS'])

/** The rules that hold whoever calls: other machines stay out of a server on loopback, and foreign pages may not write. */
export function admission(settings: Settings): (request: HttpRequest) => void {
  return (request) => {
    const { method, path, remoteAddress } = request
    if (!/(?:^|\/)api\//.test(path)) return
    if (settings.onLoopback && remoteAddress !== undefined && !isLoopbackHost(remoteAddress)) {
      throw admissionErrors.NOT_LOOPBACK()
    }
    if (reads.has(method)) return
    const source = request.header('origin') ?? request.header('referer')
    if (source !== undefined && !isTrusted(source, request.header('host'), settings))
      throw admissionErrors.CROSS_ORIGIN()
  }
}

/** True for the server's own pages, those served on this machine, and those of the origins that the host lists. */
export function isTrusted(source: string, host: string | undefined, { origins }: Settings): boolean {
  const url = URL.parse(source)
  if (url === null || !/^https?:$/.test(url.protocol)) return false
  // Parsed alike: a default port may be named or not.
  if (host !== undefined && URL.parse(`${url.protocol}//${host}`)?.host === url.host) return true
  return origins.has(url.origin) || (url.protocol === 'http:' && isLoopbackHost(url.hostname))
}

const forwarding = ['forwarded', 'via', 'x-real-ip', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto']

/**
 * Throws `NOT_MEANT` for a request that comes from this machine for somebody else: of a page that has its own name lead
 * here, or through a proxy.
 */
export function checkLocal(request: HttpRequest, { bindHost, onLoopback, origins }: Settings): void {
  if (!onLoopback) return
  const host = request.header('host')
  const url = host === undefined || /[@/\\?#]/.test(host) ? null : URL.parse(`http://${host}`)
  // No browser leaves the name out.
  const named =
    host === undefined ||
    (url !== null &&
      (isLoopbackHost(url.hostname) ||
        url.hostname === bindHost.toLowerCase() ||
        [...origins].some((origin) => new URL(origin).host === url.host)))
  if (!named || forwarding.some((name) => request.header(name) !== undefined)) throw admissionErrors.NOT_MEANT()
}
