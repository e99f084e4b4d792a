/** Path and query as they came. A target in absolute form, which proxies send, loses its scheme and authority. */
export function splitTarget(target: string): { path: string; query: string } {
  const url = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?#]*/i, '')
  const mark = url.indexOf('?')
  return mark === -1 ? { path: url || '/', query: '' } : { path: url.slice(0, mark) || '/', query: url.slice(mark + 1) }
}
