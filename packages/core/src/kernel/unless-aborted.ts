/** What a promise comes to, unless `signal` is aborted before: then the abort reason, even if what is awaited ignores it. */
export function unlessAborted<Value>(promise: PromiseLike<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason)
    if (signal.aborted) aborted()
    else signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).then(() => signal.removeEventListener('abort', aborted))
  })
}
