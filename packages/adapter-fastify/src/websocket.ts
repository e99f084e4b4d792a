import type { HostRuntime } from '@keelson/core/http'
import { attachWebSockets, type WebSocketOptions, type WebSockets } from '@keelson/core/websocket'
import type { FastifyInstance } from 'fastify'
import { WebSocketServer } from 'ws'

export type { WebSocketOptions, WebSockets } from '@keelson/core/websocket'

/**
 * Opens the WebSockets of the mounts: `webSockets(app, runtime, { mounts, authenticate })`, with the mounts that the
 * plugin got, before the app is ready. Upgrades to anything else stay the host's; Fastify's hooks do not see ours. They
 * are closed with the app.
 */
export function webSockets<Client>(
  app: Pick<FastifyInstance, 'server' | 'addHook'>,
  runtime: HostRuntime<Client>,
  options: WebSocketOptions<Client>,
): WebSockets {
  const sockets = attachWebSockets(
    app.server,
    runtime,
    options,
    (maxPayload) => new WebSocketServer({ noServer: true, clientTracking: false, maxPayload }),
  )
  app.addHook('preClose', () => sockets.close())
  return sockets
}
