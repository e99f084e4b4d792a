const kept = new WeakMap<object, Uint8Array>()

/** For a body parser of the host, `express.json({ verify })`: keeps the bytes for routes that must see them as they came. */
export function verify(req: object, _res: unknown, bytes: Uint8Array): void {
  kept.set(req, bytes)
}

/** The bytes that `verify` has kept of a request. */
export const keptBytes = (req: object): Uint8Array | undefined => kept.get(req)
