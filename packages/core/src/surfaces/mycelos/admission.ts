import type { HttpRequest } from '../../http/message.ts'
import { defineErrors } from '../../kernel/errors.ts'
import { isLoopbackHost, type Settings } from './options.ts'

export const admissionErrors = defineErrors({
  CROSS_ORIGIN: { kind: 'forbidden', message: 'Cross-origin request blocked (CSRF)' },
  NOT_LOOPBACK: { kind: 'forbidden', message: 'Only this machine may use this server; bind it to another address' },
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
  if (url === null) return false
  if (host !== undefined && url.host === host.toLowerCase()) return true
  return origins.has(url.origin) || (url.protocol === 'http:' && isLoopbackHost(url.hostname))
}
