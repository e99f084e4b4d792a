import { ModelFailure } from '../capabilities/models/index.ts'

/** A key, or a function that fetches it for each call. */
export type ApiKey = string | (() => Promise<string>) | undefined

/** Printable characters only: anything else would be refused by `fetch`, which quotes the whole header. */
export const isKey = (key: unknown): key is string => typeof key === 'string' && /^[\x21-\x7e]+$/.test(key)
export const badKey = 'apiKey is empty, or holds a space, a line break or another character that no key has'

/** Knows what must not get into a message: the key, as it was last fetched, and the values of the host's headers. */
export function secretKeeper(given: ApiKey, headers: Readonly<Record<string, string>>) {
  const values = new Set(Object.values(headers).filter((value) => value.length >= 8))
  if (typeof given === 'string') values.add(given)
  let fetched: string | undefined
  const apiKey =
    typeof given !== 'function'
      ? given
      : async () => {
          const key = await given()
          if (!isKey(key)) throw new ModelFailure('auth', badKey)
          fetched = key
          return key
        }
  const hide = (text: string): string => {
    let hidden = text
    for (const value of fetched === undefined ? values : [fetched, ...values]) {
      hidden = hidden.replaceAll(value, '[hidden]')
    }
    return hidden
  }
  return { apiKey, hide }
}
