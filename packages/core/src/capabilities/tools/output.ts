import type { Json } from '../../kernel/json.ts'

export interface ShapedOutput {
  readonly output: Json
  /** True when the value could not be written as JSON: `output` then says why. */
  readonly isError: boolean
  /** Set when something was cut: bytes of the whole text. */
  readonly cutFrom: number | null
}

/** Room for the note that says what was cut. */
const noteBytes = 80

/**
 * What a tool returned, as the model gets to see it: a string as it is, anything else as JSON, neither with more than
 * `maxBytes` bytes of UTF-8. What is longer becomes a text that is cut between characters and says so at its end.
 */
export function shapeOutput(value: unknown, maxBytes: number): ShapedOutput {
  if (value === undefined || value === null) return whole(null)
  if (typeof value === 'string') return shapeString(value, maxBytes)
  const unfit = unfitKind(value)
  if (unfit !== null) return refused(unfit)
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    return refused(whyNotJson(error))
  }
  if (text === undefined) return whole(null)
  const cut = cutText(text, maxBytes)
  return cut ?? whole(JSON.parse(text))
}

/** A result as a model gets it that reads so many characters at most: what is longer becomes a text that is cut and says so. */
export function cutOutput(output: Json, characters: number): Json {
  const text = typeof output === 'string' ? output : JSON.stringify(output)
  if (text.length <= characters) return output
  return `${text.slice(0, characters).toWellFormed()}\n[cut: first ${characters} of ${text.length} characters]`
}

const whole = (output: Json): ShapedOutput => ({ output, isError: false, cutFrom: null })

const refused = (what: string): ShapedOutput => ({
  output: `The tool ran, but its result cannot be shown: ${what}.`,
  isError: true,
  cutFrom: null,
})

const shapeString = (text: string, maxBytes: number): ShapedOutput => cutText(text, maxBytes) ?? whole(text)

/** Null when the text fits. */
function cutText(text: string, maxBytes: number): ShapedOutput | null {
  // A UTF-16 unit becomes one to three bytes, so most texts need no counting.
  if (text.length * 3 <= maxBytes) return null
  const bytes = Buffer.byteLength(text)
  if (bytes <= maxBytes) return null
  const room = new Uint8Array(Math.max(0, maxBytes - noteBytes))
  // Each UTF-16 unit takes a byte at least, so the rest could not fit; nor could a pair that this slice parts.
  const { written: shown } = new TextEncoder().encodeInto(text.slice(0, room.length), room)
  // Decoded anew: a slice would keep the whole text in memory for as long as the history lives.
  const kept = new TextDecoder('utf-8', { ignoreBOM: true }).decode(room.subarray(0, shown))
  return { output: `${kept}\n[cut: first ${shown} of ${bytes} bytes]`, isError: false, cutFrom: bytes }
}

/** Values that JSON would silently turn into nothing or into an empty object. */
function unfitKind(value: unknown): string | null {
  if (typeof value === 'function') return 'it is a function'
  if (typeof value === 'symbol') return 'it is a symbol'
  if (typeof value === 'bigint') return 'it is a bigint; return a string or a number'
  if (value instanceof Map || value instanceof Set) return 'it is a Map or a Set; return a plain object or an array'
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return 'it is binary data; return text'
  if (value instanceof Error) return 'it is an Error object; a tool reports a failure by throwing it'
  return null
}

/** In words of our own: the message of a foreign error may quote the value. */
function whyNotJson(error: unknown): string {
  if (error instanceof RangeError) return 'it is too large or nested too deeply'
  if (error instanceof TypeError && /bigint/i.test(error.message)) return 'it contains a bigint'
  if (error instanceof TypeError && /circular|cyclic/i.test(error.message)) return 'it refers to itself'
  return 'it could not be written as JSON'
}
