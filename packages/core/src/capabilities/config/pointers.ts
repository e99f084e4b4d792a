import type { ConfigHead, ConfigStore } from './store.ts'

/** Tenants whose pointer is kept in memory; beyond so many, the ones that were used last. */
const mostTenants = 10_000
const page = 500

/** Where a tenant's pointer is. */
export interface Pointer {
  readonly active: number
  readonly revision: number
  /** Where it was when this process first saw it. */
  readonly first: number
}

/** Every tenant's active generation, from memory. */
export interface Pointers {
  /** Reads all pointers. One query where nobody has a configuration. */
  load(): Promise<void>
  /** Reads what has moved since. One query when nothing has. */
  follow(): Promise<void>
  of(tenant: string): Pointer | Promise<Pointer>
  /** Without asking the store; null when it would have to be asked. */
  known(tenant: string): Pointer | null
  /** Told of a head that was read or written. */
  moved(head: ConfigHead): void
  /** True while no tenant has a configuration. */
  readonly none: boolean
}

const nowhere: Pointer = Object.freeze({ active: 0, revision: 0, first: 0 })

/** `left` is told of each tenant whose pointer has moved since this process first saw it. */
export function createPointers(store: Pick<ConfigStore, 'head' | 'heads'>, left: (tenant: string) => void): Pointers {
  const pointers = new Map<string, Pointer>()
  let revision = 0
  /** True while every tenant that has a pointer is in memory: one that is not has none. */
  let complete = true
  let loaded = false
  let following: Promise<void> | undefined

  function keep(tenant: string, pointer: Pointer): void {
    // At the end of the line, of which the beginning goes first.
    pointers.delete(tenant)
    pointers.set(tenant, pointer)
    if (pointers.size <= mostTenants) return
    complete = false
    for (const oldest of pointers.keys()) {
      pointers.delete(oldest)
      break
    }
  }

  function moved(head: ConfigHead): void {
    const before = pointers.get(head.tenant)
    // Of two answers the later one may have been given earlier.
    if (before && before.revision >= head.revision) return
    const { active, revision: at, tenant } = head
    keep(tenant, { active, revision: at, first: before?.first ?? (loaded && complete ? 0 : active) })
    if (loaded && active !== (before?.active ?? 0)) left(tenant)
  }

  async function read(): Promise<void> {
    for (;;) {
      const heads = await store.heads(revision, page)
      for (const head of heads) {
        if (complete || !loaded || pointers.has(head.tenant)) moved(head)
        revision = Math.max(revision, head.revision)
      }
      if (heads.length < page) return
    }
  }

  async function ask(tenant: string): Promise<Pointer> {
    const head = await store.head(tenant)
    const before = pointers.get(tenant)
    if (head === null) return before ?? nowhere
    if (!before) keep(tenant, { active: head.active, revision: head.revision, first: head.active })
    else moved(head)
    return pointers.get(tenant) ?? nowhere
  }

  return {
    async load() {
      await read()
      loaded = true
    },

    follow() {
      following ??= read().finally(() => {
        following = undefined
      })
      return following
    },

    of(tenant) {
      const pointer = pointers.get(tenant)
      if (complete) return pointer ?? nowhere
      if (pointer === undefined) return ask(tenant)
      keep(tenant, pointer)
      return pointer
    },

    known: (tenant) => pointers.get(tenant) ?? (complete ? nowhere : null),

    moved,

    get none() {
      return complete && pointers.size === 0
    },
  }
}
