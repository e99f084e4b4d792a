import { decoded } from './content.ts'
import type { Pointers } from './pointers.ts'
import { isNumber, notFound } from './records.ts'
import { type ConfigContent, type ConfigReader, type ConfigSnapshot, emptyContent } from './section.ts'
import type { ConfigStore } from './store.ts'

const mostContents = 256
/** Characters of JSON text. */
const largestSum = 33_554_432

interface Kept {
  readonly snapshot: ConfigSnapshot
  readonly hash: string
  readonly size: number
}

export interface Snapshots extends ConfigReader {
  /** Reads what is active into memory, if the tenant's configuration was used here before. */
  refresh(tenant: string): Promise<void>
}

const codeAlone: ConfigSnapshot = Object.freeze({ generation: 0, content: emptyContent })

/** Contents in memory, a bounded number; `loaded` is told of each that is read. */
export function createSnapshots(
  store: Pick<ConfigStore, 'content'>,
  pointers: Pointers,
  sections: ReadonlySet<string>,
  loaded: (tenant: string, content: ConfigContent) => void,
): Snapshots {
  /** By tenant and number; the ones used last are at the end. */
  const kept = new Map<string, Map<number, Kept>>()
  const reading = new Map<string, Promise<ConfigSnapshot>>()
  const order = new Set<Kept>()
  const places = new WeakMap<Kept, { readonly tenant: string; readonly number: number }>()
  let size = 0

  function keep(tenant: string, number: number, entry: Kept): void {
    const own = kept.get(tenant) ?? new Map<number, Kept>()
    kept.set(tenant, own.set(number, entry))
    places.set(entry, { tenant, number })
    order.add(entry)
    size += entry.size
    for (const oldest of order) {
      if (order.size <= mostContents && (size <= largestSum || order.size === 1)) break
      forget(oldest)
    }
  }

  function forget(entry: Kept): void {
    const place = places.get(entry)
    order.delete(entry)
    size -= entry.size
    if (!place) return
    const own = kept.get(place.tenant)
    own?.delete(place.number)
    if (own?.size === 0) kept.delete(place.tenant)
  }

  async function read(tenant: string, number: number): Promise<ConfigSnapshot> {
    const stored = isNumber(number) ? await store.content(tenant, number) : null
    if (stored === null) throw notFound(number)
    // The same content under another number is the same object.
    const same = [...order].find(({ hash }) => hash === stored.hash)
    const content = same?.snapshot.content ?? decoded(stored, sections)
    if (!same) loaded(tenant, content)
    const snapshot = Object.freeze({ generation: number, content })
    keep(tenant, number, { snapshot, hash: stored.hash, size: stored.content.length })
    return snapshot
  }

  function snapshotOf(tenant: string, number: number): ConfigSnapshot | Promise<ConfigSnapshot> {
    if (number === 0) return codeAlone
    const entry = kept.get(tenant)?.get(number)
    if (entry) {
      order.delete(entry)
      order.add(entry)
      return entry.snapshot
    }
    const key = JSON.stringify([tenant, number])
    const asked = reading.get(key) ?? read(tenant, number).finally(() => reading.delete(key))
    reading.set(key, asked)
    return asked
  }

  return {
    active(tenant) {
      const pointer = pointers.of(tenant)
      return pointer instanceof Promise
        ? pointer.then(({ active }) => snapshotOf(tenant, active))
        : snapshotOf(tenant, pointer.active)
    },

    at(tenant, generation) {
      const snapshot = snapshotOf(tenant, generation)
      return snapshot instanceof Promise ? snapshot.then(({ content }) => content) : snapshot.content
    },

    async refresh(tenant) {
      const pointer = pointers.known(tenant)
      if (pointer && kept.has(tenant)) await snapshotOf(tenant, pointer.active)
    },
  }
}
