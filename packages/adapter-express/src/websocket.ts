import type { Server } from 'node:http'
import type { HostRuntime } from '@keelson/core/http'
import { attachWebSockets, type WebSocketOptions, type WebSockets } from '@keelson/core/websocket'
import { WebSocketServer } from 'ws'

export type { WebSocketOptions, WebSockets } from '@keelson/core/websocket'

/**
 * Opens the WebSockets of the mounts: `webSockets(server, runtime, { mounts, authenticate })`, with the options that the
 * HTTP handler got. The server may be anybody's, Express's or a bare one; upgrades to anything else stay the host's.
 * Close them when the server stops: Node does not.
 */
export const webSockets = <Client>(
  server: Server,
  runtime: HostRuntime<Client>,
  options: WebSocketOptions<Client>,
): WebSockets =>
  attachWebSockets(
    server,
    runtime,
    options,
    (maxPayload) => new WebSocketServer({ noServer: true, clientTracking: false, maxPayload }),
  )
