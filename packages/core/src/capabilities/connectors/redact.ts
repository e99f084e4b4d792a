/** Shorter values would be found by chance everywhere. */
const shortest = 4

/** Takes secrets out of texts. */
export interface Redactor {
  (text: string): string
  /** The length of the longest piece that it looks for. */
  readonly longest: number
}

/** Finds the values also as they are written within JSON and within an address. */
export function redactorOf(values: readonly string[]): Redactor {
  const forms = values
    .filter((value) => value.length >= shortest)
    .flatMap((value) => [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value.toWellFormed())])
  const pieces = [...new Set(forms)].toSorted((one, other) => other.length - one.length)
  const redact = (text: string): string =>
    pieces.reduce((cleaned, piece) => cleaned.replaceAll(piece, '[secret]'), text)
  return Object.assign(redact, { longest: pieces[0]?.length ?? 0 })
}
