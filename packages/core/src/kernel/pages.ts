/** A window into a list: at most `limit` items, `offset` skipped. */
export interface Window {
  readonly limit: number
  readonly offset: number
}

/** Which part of a list a caller wants. */
export interface Page {
  /** At most so many. @default 50 */
  readonly limit?: number
  /** After so many. @default 0 */
  readonly offset?: number
}

/** The window that is meant, and what else was asked for. */
export function paged<Input extends Page>(
  input: Input | undefined,
): { window: Window; filter: Omit<Input, keyof Page> } {
  const { limit = 50, offset = 0, ...filter } = input ?? ({} as Input)
  return { window: { limit, offset }, filter }
}
