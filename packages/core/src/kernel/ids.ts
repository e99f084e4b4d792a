/** Makes the identifiers of rows: UUIDs, unless a test replaces it. */
export type NewId = () => string

export const newUuid: NewId = () => globalThis.crypto.randomUUID()
