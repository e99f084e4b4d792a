import {
  type HostRuntime,
  httpErrors,
  type Match,
  type MountOptions,
  mountRuntime,
  splitTarget,
} from '@keelson/core/http'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import { sendAnswer } from './answer.ts'
import { type Payload, requestOver } from './payload.ts'
import { planRoutes } from './routes.ts'

export interface KeelsonOptions<Client> extends MountOptions<Client, FastifyRequest> {
  /**
   * Whether closing the app stops the runtime, before Fastify waits for open requests: running turns stop at their last
   * commit point, and event streams end. Otherwise stop the runtime first, or the app waits for open event streams.
   * @default false
   */
  readonly stopWithHost?: boolean
}

/** A request that is ours. */
interface Ours<Client> {
  readonly match: Match<Client>
  readonly path: string
  readonly query: string
}

/**
 * A plugin for `app.register()`, also under a prefix. Every route is one of Fastify's, in a scope of its own: hooks, CORS,
 * helmet and compression of the host work on them, streams included, while its body parsers, its error handler and its
 * 404 stay as they are. Errors are answered in the surface's body; errors of the host's own hooks remain the host's. The
 * runtime is started when the app becomes ready; when that fails, it is reported and tried again with each request.
 */
export function keelson<Client>(runtime: HostRuntime<Client>, options: KeelsonOptions<Client>): FastifyPluginAsync {
  const { mounts, bodyTimeoutMs, stopWithHost = false } = options
  const { dispatcher, report } = mountRuntime(runtime, options)
  const ours = new WeakMap<FastifyRequest, Ours<Client>>()
  const payloads = new WeakMap<FastifyRequest, Payload>()

  const answer = async (request: FastifyRequest, reply: FastifyReply, { match, path, query }: Ours<Client>) => {
    const payload = payloads.get(request) ?? request.raw
    const neutral = requestOver(request.raw, reply.raw, payload, { path, query, native: request, bodyTimeoutMs })
    sendAnswer(reply, await dispatcher.handle(match, neutral), (error) => report(error, match.path))
  }

  return async function keelson(app) {
    const depth = app.prefix.split('/').filter((segment) => segment !== '').length

    // Bodies are read where they are asked for, after the caller is known.
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (request, payload, done) => {
      payloads.set(request, payload)
      done(null)
    })

    app.setErrorHandler((error: Error & { code?: unknown }, request, reply) => {
      const known = ours.get(request)
      // A content type that is none: Fastify refuses it before any parser is asked.
      if (error.code !== 'FST_ERR_CTP_INVALID_MEDIA_TYPE' || known === undefined) throw error
      const { mount, path, params } = known.match
      const match = { mount, path, params, route: undefined, failure: httpErrors.UNSUPPORTED_MEDIA_TYPE() }
      void answer(request, reply, { ...known, match })
    })

    app.addHook('onReady', async () => {
      await dispatcher.ready().catch((error: unknown) => report(error, 'start'))
    })
    if (stopWithHost) app.addHook('preClose', async () => runtime.stop?.())

    const serve = (url: string, methods: readonly string[]) =>
      app.route({
        url,
        method: methods as HTTPMethods[],
        exposeHeadRoute: false,
        onRequest(request, reply, done) {
          const target = splitTarget(request.raw.url ?? '/')
          const path = below(target.path, depth)
          const match = dispatcher.match(request.method, path)
          if (match === undefined) return void reply.callNotFound()
          ours.set(request, { match, path, query: target.query })
          done()
        },
        handler(request, reply) {
          const known = ours.get(request)
          if (known) void answer(request, reply, known)
        },
      })

    const { ignoreTrailingSlash, routerOptions } = app.initialConfig
    const { routes, wildcards } = planRoutes(dispatcher, mounts, {
      methods: app.supportedMethods,
      prefixed: app.prefix !== '',
      slashes: !(routerOptions?.ignoreTrailingSlash ?? ignoreTrailingSlash),
    })
    for (const [url, methods] of routes) serve(url, [...methods])
    for (const [url, methods] of wildcards) {
      // Somebody else's wildcard stays where it is; ours only adds to the routes.
      const left = [...methods].filter((each) => !app.hasRoute({ method: each as HTTPMethods, url: app.prefix + url }))
      if (left.length > 0) serve(url, left)
    }
  }
}

/** The path without the segments of the plugin's prefix. That they are there, Fastify's router has seen. */
function below(path: string, depth: number): string {
  let from = 0
  for (let segment = 0; segment < depth; segment += 1) {
    from = path.indexOf('/', from + 1)
    if (from === -1) return '/'
  }
  return path.slice(from)
}
