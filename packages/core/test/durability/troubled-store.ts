import { type Store, storeErrors } from '@keelson/core/stores'

type Verb<Port extends keyof Store> = `${Port & string}.${keyof Store[Port] & string}`

/** A method of a store, by its port and name. */
export type StoreVerb = Verb<'loop'> | Verb<'sessions'> | Verb<'approvals'>

export interface TroubledStore {
  readonly store: Store
  /** Every call so far, in order. */
  readonly calls: StoreVerb[]
  /** Lets calls fail for which this gives an error, until it is set anew. */
  fail: (verb: StoreVerb, count: number) => unknown
}

export const diskFull = (): unknown => storeErrors.STORE_FULL()

/** A store whose calls can be made to fail before they reach the database. */
export function troubled(inner: Store): TroubledStore {
  const calls: StoreVerb[] = []
  const counts = new Map<StoreVerb, number>()
  const trouble: { fail: TroubledStore['fail'] } = { fail: () => undefined }
  const wrap = <Port extends object>(name: string, port: Port): Port =>
    new Proxy(port, {
      get(target, key) {
        const method = Reflect.get(target, key) as unknown
        if (typeof method !== 'function') return method
        return async (...input: unknown[]) => {
          const verb = `${name}.${String(key)}` as StoreVerb
          const count = (counts.get(verb) ?? 0) + 1
          counts.set(verb, count)
          calls.push(verb)
          const error = trouble.fail(verb, count)
          if (error !== undefined) throw error
          return await (method as (...all: unknown[]) => unknown).apply(target, input)
        }
      },
    })
  const store: Store = {
    ...inner,
    exclusive: inner.exclusive,
    loop: wrap('loop', inner.loop),
    sessions: wrap('sessions', inner.sessions),
    approvals: wrap('approvals', inner.approvals),
  }
  return {
    store,
    calls,
    get fail() {
      return trouble.fail
    },
    set fail(fail) {
      trouble.fail = fail
    },
  }
}
