import { randomFillSync } from 'node:crypto'

/** Makes the identifiers of rows: UUIDs, unless a test replaces it. */
export type NewId = () => string

const idBytes = 16
const batch = 1_024
const hexDigits = '0123456789abcdef'
const dash = 0x2d

let random: Buffer | undefined
let text: Buffer | undefined
let used = batch

/**
 * A random UUID (RFC 9562, version 4), as `crypto.randomUUID` makes it. That one joins nineteen texts; a turn makes six
 * of them, and this leaves a tenth of the garbage.
 */
export const newUuid: NewId = () => {
  random ??= Buffer.alloc(idBytes * batch)
  text ??= Buffer.alloc(36, dash)
  if (used === batch) {
    randomFillSync(random)
    used = 0
  }
  const from = idBytes * used
  used += 1
  random[from + 6] = ((random[from + 6] as number) & 0x0f) | 0x40
  random[from + 8] = ((random[from + 8] as number) & 0x3f) | 0x80
  let at = 0
  for (let index = from; index < from + idBytes; index += 1) {
    const byte = random[index] as number
    text[at] = hexDigits.charCodeAt(byte >> 4)
    text[at + 1] = hexDigits.charCodeAt(byte & 0x0f)
    // Known to nobody but whoever was given it.
    random[index] = 0
    at += 2
    // Its dashes are there already.
    if (at === 8 || at === 13 || at === 18 || at === 23) at += 1
  }
  return text.toString('latin1', 0, 36)
}
