import type { PostgresListenClient } from './pool.ts'

const firstPauseMs = 100
const longestPauseMs = 10_000
/** A connection that was cut without a word is noticed by asking. */
const askEveryMs = 15_000
const answerWithinMs = 10_000

export interface ListenerOptions {
  connect(): PostgresListenClient
  readonly channel: string
  heard(payload: string): void
  /** Told each time the connection is lost or cannot be had. */
  report(error: unknown): void
}

/** A connection of its own that listens, made anew for as long as it is wanted. */
export interface Listener {
  /** Resolves after the first try, whether or not it worked. */
  start(): Promise<void>
  stop(): Promise<void>
}

export function createListener({ connect, channel, heard, report }: ListenerOptions): Listener {
  let wanted = false
  let current: PostgresListenClient | undefined
  let timer: NodeJS.Timeout | undefined
  let pause = firstPauseMs
  let settle = () => {}

  const later = (ms: number, run: () => void) => {
    clearTimeout(timer)
    timer = setTimeout(run, ms)
    timer.unref()
  }

  function tryAgain(error: unknown): void {
    if (!wanted) return
    report(error)
    later(pause * (0.5 + Math.random() / 2), listen)
    pause = Math.min(pause * 2, longestPauseMs)
  }

  /** Calls `tried` once it listens or has failed to. */
  function listen(tried = () => {}): void {
    let client: PostgresListenClient
    try {
      client = connect()
    } catch (error) {
      tryAgain(error)
      tried()
      return
    }
    current = client
    const lose = (error: unknown) => {
      tried()
      if (current !== client) return
      current = undefined
      client.end().catch(() => {})
      tryAgain(error)
    }
    const expectAnswer = () => later(answerWithinMs, () => lose(new Error('the database does not answer in time')))
    const ask = () => {
      expectAnswer()
      client.query({ text: 'select 1' }).then(answered, lose)
    }
    const answered = () => {
      if (current === client) later(askEveryMs, ask)
    }

    client.on('error', lose)
    client.on('end', () => lose(new Error('the listening connection has ended')))
    client.on('notification', ({ payload = '' }) => heard(payload))
    expectAnswer()
    client
      .connect()
      .then(() => client.query({ text: `listen "${channel.replaceAll('"', '""')}"` }))
      .then(() => {
        pause = firstPauseMs
        answered()
        tried()
      }, lose)
  }

  return {
    start() {
      if (wanted) return Promise.resolve()
      wanted = true
      return new Promise((resolve) => {
        settle = resolve
        listen(resolve)
      })
    },

    async stop() {
      wanted = false
      clearTimeout(timer)
      settle()
      const client = current
      current = undefined
      await client?.end().catch(() => {})
    },
  }
}
