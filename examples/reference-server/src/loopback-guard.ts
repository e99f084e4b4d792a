import type { RequestHandler } from 'express'

const forwarded = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip']

/**
 * For a server that trusts its own machine: lets in only requests that name it by a loopback name, so that a web page
 * whose name was pointed here cannot, and none that a proxy has passed on, because those come from elsewhere.
 */
export function loopbackGuard(port: () => number): RequestHandler {
  return (request, response, next) => {
    const host = request.headers.host?.toLowerCase() ?? ''
    const names = ['localhost', '127.0.0.1', '[::1]']
    const named = names.some((name) => host === `${name}:${port()}` || (port() === 80 && host === name))
    const passedOn = forwarded.find((name) => request.headers[name] !== undefined)
    if (named && passedOn === undefined) {
      next()
      return
    }
    const reason = named
      ? `the header ${passedOn} is not accepted where loopback is trusted; set KEELSON_AUTH=required behind a proxy`
      : 'this host name is not accepted where loopback is trusted'
    response.status(403).json({ error: reason })
  }
}
