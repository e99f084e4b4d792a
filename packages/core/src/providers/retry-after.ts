/**
 * How long the server asks to wait, in milliseconds: from `retry-after-ms`, or from `Retry-After` as seconds or as an
 * HTTP date. Undefined when it does not say, or says nonsense.
 */
export function retryAfterMs(headers: Pick<Headers, 'get'> | undefined, now: number): number | undefined {
  const exact = headers?.get('retry-after-ms')
  if (exact && isNumber(exact)) return Number(exact)
  const value = headers?.get('retry-after')
  if (!value) return undefined
  if (isNumber(value)) return Math.round(Number(value) * 1000)
  // Dates begin with the name of a day; `Date.parse` alone would take much else for a date.
  const date = /^[A-Z][a-z]{2,8},? /.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

const isNumber = (text: string): boolean => /^\d{1,12}(?:\.\d{1,6})?$/.test(text.trim())
