import type { Redactor } from './redact.ts'

const shownCharacters = 1_000
const keptCharacters = 16_384

/** The end of what a program writes, in bounded memory however much it writes. */
export class OutputTail {
  #text = ''
  #cut = false

  add(text: string): void {
    this.#text += text
    if (this.#text.length <= keptCharacters * 2) return
    this.#text = this.#text.slice(-keptCharacters)
    this.#cut = true
  }

  /** Its last lines without secrets, also without one whose beginning was thrown away. */
  text(redact: Redactor): string {
    const cleaned = redact(this.#text)
    return (this.#cut ? cleaned.slice(redact.longest) : cleaned).slice(-shownCharacters).trim()
  }
}
