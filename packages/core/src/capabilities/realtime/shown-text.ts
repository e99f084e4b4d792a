const gap = '\n\n'

/**
 * The text of a turn's steps as a client can follow it that only ever appends. What has been shown cannot be taken
 * back: when a step starts over, what it repeats is not shown again, and what it says otherwise begins a paragraph.
 */
export class ShownText {
  /** What the current step has said. */
  said = ''
  /** While the step starts over: what the client was shown of it, as far as it is not said again. */
  #shown = ''
  /** Something was shown, and what follows must stand apart from it. */
  #apart = false
  #any = false

  /** A step begins. */
  begin(): void {
    this.said = ''
    this.#shown = ''
    this.#apart = this.#any
  }

  /** The current step begins again; what it had said does not count. */
  restart(): void {
    this.#shown ||= this.said
    this.said = ''
  }

  /** Takes the next piece of the step and returns what of it is new to the client; may be empty. */
  add(piece: string): string {
    const before = this.said.length
    this.said += piece
    const shown = this.#shown
    if (shown === '') return this.#show(piece)
    if (shown.startsWith(piece, before)) return ''
    this.#shown = ''
    const rest = shown.length - before
    if (shown.slice(before) === piece.slice(0, rest)) return this.#show(piece.slice(rest))
    this.#apart = true
    return this.#show(this.said)
  }

  #show(text: string): string {
    const shown = this.#apart && text !== '' ? gap + text : text
    if (text !== '') {
      this.#apart = false
      this.#any = true
    }
    return shown
  }
}
