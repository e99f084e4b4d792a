/** Ends a turn early: on cancel, when its time is over, when the runtime stops. */
export class TurnStop {
  readonly #aborter = new AbortController()
  readonly #toolAborter = new AbortController()
  /** Told when the turn is ended: the model call that runs. One slot, since an event listener costs as much as a promise. */
  listener: ((reason: unknown) => void) | null = null

  /** No model call goes on once it is aborted. */
  get signal(): AbortSignal {
    return this.#aborter.signal
  }

  /** When the runtime stops it is aborted only after the time that running tools are given to end. */
  get toolSignal(): AbortSignal {
    return this.#toolAborter.signal
  }

  end(reason: unknown): void {
    this.endModel(reason)
    this.endTools(reason)
  }

  endModel(reason: unknown): void {
    if (this.#aborter.signal.aborted) return
    this.#aborter.abort(reason)
    this.listener?.(reason)
  }

  endTools(reason: unknown): void {
    this.#toolAborter.abort(reason)
  }
}
