import type { FailureClass } from '../capabilities/models/index.ts'

/** A longer text is no message but a page or an echo of the request. */
const longestMessage = 400

export const shorten = (text: string): string =>
  text.length > longestMessage ? `${text.slice(0, longestMessage)}…` : text

/** The class of an error of the connection itself, by the code that the system gave it. */
export function connectionClass(error: unknown): FailureClass {
  const code = codeIn(error)
  if (/TIMEOUT|TIMEDOUT/.test(code)) return 'timeout'
  return code.startsWith('HPE_') ? 'malformed' : 'network'
}

export function connectionText(error: unknown): string {
  const code = codeIn(error)
  if (code !== '') return `the connection failed: ${code}`
  return `the connection failed: ${error instanceof Error ? error.message : 'for an unknown reason'}`
}

/** The system's code of an error, which may lie a few causes deep. */
function codeIn(error: unknown): string {
  let current = error
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth++) {
    const { code, cause } = current as { code?: unknown; cause?: unknown }
    if (typeof code === 'string' && code !== '') return code
    current = cause
  }
  return ''
}

/** Settles with the promise, or rejects at once when the signal is aborted, even if what is awaited ignores it. */
export function untilAborted<T>(promise: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).then(() => signal.removeEventListener('abort', abort))
  })
}
