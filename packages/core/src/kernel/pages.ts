/** A window into a list: at most `limit` items, `offset` skipped. */
export interface Window {
  readonly limit: number
  readonly offset: number
}
