import { type Clock, systemClock } from '../kernel/clock.ts'

/** Sent this often, so that nothing on the way closes the connection. */
const pingMs = 30_000
/** A client that has not been heard of for so long is gone: any client answers pings by itself. */
const silenceMs = 90_000
/** How much may wait for a client that reads slowly. */
const mostEvents = 256
const mostBytes = 1_048_576
/** A client that does not answer the closing of its connection is cut off. */
const closeMs = 5_000

/** Close codes: the server stops, something broke, the client is too slow. */
export const closeCodes = { goingAway: 1001, internalError: 1011, tryAgainLater: 1013 } as const

/** A connection as a surface sees it. */
export interface Socket {
  /** Milliseconds since the epoch. */
  readonly openedAt: number
  /**
   * Sends a text frame; does nothing once the connection closes. A client for which 256 frames or 1 MiB wait is closed
   * with 1013 instead: what it misses could not be told from what it gets.
   */
  send(text: string): void
  /** Begins to close the connection. */
  close(code: number, reason: string): void
}

export interface SocketHandlers {
  /** A text frame came. */
  text?(text: string): void
  /** The connection closes, for whatever reason. Called once. */
  closed?(): void
}

/** What a surface does with a WebSocket. */
export interface SocketSession {
  /** A longer message of the client closes the connection with 1009. */
  readonly mostMessageBytes: number
  /** Called when the connection is open. */
  open(socket: Socket): SocketHandlers
}

/** What an adapter brings: one open WebSocket. */
export interface SocketConnection {
  /** Bytes that were sent and have not left yet. */
  readonly bufferedAmount: number
  /** `left` is called when the frame has left. */
  send(text: string, left: () => void): void
  ping(): void
  close(code: number, reason: string): void
  /** Ends the connection at once. */
  terminate(): void
}

/** What an adapter tells of a WebSocket, and may ask for. */
export interface OpenSocket {
  /** A message, ping or pong came. */
  heard(): void
  /** A text message came. Call `heard` too. */
  text(text: string): void
  /** The connection is closed. */
  closed(): void
  /** Begins to close it. */
  close(code: number, reason: string): void
}

export interface SocketOptions {
  readonly clock?: Clock
  /** Told what a surface throws; the connection is then closed with 1011. */
  onError?(error: unknown): void
}

/** Runs a surface's session over a connection: keeps it alive, ends it when it is silent, and bounds what waits. */
export function openSocket(
  session: SocketSession,
  connection: SocketConnection,
  { clock = systemClock, onError }: SocketOptions = {},
): OpenSocket {
  const openedAt = clock.now()
  let handlers: SocketHandlers = {}
  let open = true
  let cancelBeat = () => {}
  let cancelCut = () => {}
  let sent = 0
  let left = 0

  const attempt = (work: () => void): void => {
    try {
      work()
    } catch (error) {
      onError?.(error)
      close(closeCodes.internalError, 'internal error')
    }
  }

  const leave = (): boolean => {
    if (!open) return false
    open = false
    cancelBeat()
    attempt(() => handlers.closed?.())
    return true
  }

  const close = (code: number, reason: string): void => {
    if (!leave()) return
    cancelCut = clock.after(closeMs, () => connection.terminate())
    connection.close(code, reason)
  }

  let heardAt = openedAt
  let pingAt = openedAt + pingMs
  const beat = (): void => {
    const now = clock.now()
    // A clock that was set back must not make the silence longer by as much.
    heardAt = Math.min(heardAt, now)
    pingAt = Math.min(pingAt, now + pingMs)
    if (now - heardAt >= silenceMs) {
      close(closeCodes.goingAway, 'nothing was heard of the client')
      return
    }
    if (now >= pingAt) {
      connection.ping()
      pingAt = now + pingMs
    }
    cancelBeat = clock.after(Math.min(pingAt, heardAt + silenceMs) - now, beat)
  }
  cancelBeat = clock.after(pingMs, beat)

  const socket: Socket = {
    openedAt,
    send(text) {
      if (!open) return
      const buffered = connection.bufferedAmount
      // What is told of frames that have left comes late; no bytes means that all have.
      if (buffered === 0) left = sent
      else if (sent - left >= mostEvents || buffered + text.length > mostBytes) {
        close(closeCodes.tryAgainLater, 'the client reads too slowly')
        return
      }
      const number = ++sent
      connection.send(text, () => {
        left = Math.max(left, number)
      })
    },
    close,
  }
  attempt(() => {
    handlers = session.open(socket)
  })
  // Closed while it was being opened: nobody else tells.
  if (!open) attempt(() => handlers.closed?.())

  return {
    heard() {
      heardAt = clock.now()
    },
    text(text) {
      if (open) attempt(() => handlers.text?.(text))
    },
    closed() {
      cancelCut()
      leave()
    },
    close,
  }
}
