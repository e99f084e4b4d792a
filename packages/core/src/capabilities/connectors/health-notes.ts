import type { ConnectorHealth, ConnectorNote, ConnectorStore } from './store.ts'

/** While all is well, so much time lies between two writes of a connector's last success. */
const successEveryMs = 10_000

interface Noted {
  latest: ConnectorNote
  storedSuccessAt: number
  dirty: boolean
  writing: Promise<void> | null
}

const nothing: ConnectorNote = { lastSuccessAt: null, lastError: null, lastErrorAt: null }

/** Notes how connectors do: every error, successes now and then, one write at a time for each connector. */
export class HealthNotes {
  readonly #tenant: string
  readonly #store: ConnectorStore
  readonly #report: (error: unknown) => void
  readonly #noted = new Map<string, Noted>()

  constructor(tenant: string, store: ConnectorStore, report: (error: unknown) => void) {
    this.#tenant = tenant
    this.#store = store
    this.#report = report
  }

  succeeded(name: string, at: number): void {
    const noted = this.#of(name)
    const recovered = (noted.latest.lastErrorAt ?? -1) >= (noted.latest.lastSuccessAt ?? 0)
    noted.latest = { ...noted.latest, lastSuccessAt: at }
    if (recovered || at - noted.storedSuccessAt >= successEveryMs) this.#write(name, noted)
  }

  failed(name: string, text: string, at: number): void {
    const noted = this.#of(name)
    noted.latest = { ...noted.latest, lastError: text, lastErrorAt: at }
    this.#write(name, noted)
  }

  /** What is stored, or what this instance knows better. */
  newest(name: string, stored: ConnectorHealth | undefined): ConnectorNote {
    const here = this.#noted.get(name)?.latest ?? nothing
    const lastSuccessAt = Math.max(here.lastSuccessAt ?? 0, stored?.lastSuccessAt ?? 0) || null
    const error = (here.lastErrorAt ?? 0) >= (stored?.lastErrorAt ?? 0) ? here : (stored ?? here)
    return { lastSuccessAt, lastError: error.lastError, lastErrorAt: error.lastErrorAt }
  }

  /** Of a connector that is there no more nothing is known either. */
  forget(name: string): void {
    this.#noted.delete(name)
  }

  async settled(): Promise<void> {
    await Promise.all([...this.#noted.values()].map(({ writing }) => writing))
  }

  #of(name: string): Noted {
    let noted = this.#noted.get(name)
    if (!noted) {
      noted = { latest: nothing, storedSuccessAt: Number.NEGATIVE_INFINITY, dirty: false, writing: null }
      this.#noted.set(name, noted)
    }
    return noted
  }

  #write(name: string, noted: Noted): void {
    noted.dirty = true
    noted.writing ??= this.#writeAll(name, noted).finally(() => {
      noted.writing = null
    })
  }

  async #writeAll(name: string, noted: Noted): Promise<void> {
    while (noted.dirty) {
      noted.dirty = false
      const { latest } = noted
      noted.storedSuccessAt = latest.lastSuccessAt ?? noted.storedSuccessAt
      await this.#store.note(this.#tenant, name, latest).catch(this.#report)
    }
  }
}
