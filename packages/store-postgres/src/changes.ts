import { randomUUID } from 'node:crypto'
import type { ConfigHead, Store, StoreChange, StoreChanges } from '@keelson/core/stores'
import { createListener } from './listener.ts'
import type { PostgresListenClient } from './pool.ts'

/** A payload must stay below 8,000 bytes. */
const payloadBytes = 7_900

/** Before the name of a provider whose breaker has changed; no identifier of a turn begins so. */
const breakerMark = 'breaker\t'

export interface ChangesOptions {
  readonly schema: string
  connect(): PostgresListenClient
  notify(channel: string, payload: string): Promise<void>
  report(error: unknown): void
}

/** Before where a tenant's pointer is now, as JSON. */
const configMark = 'config\t'

const configLine = ({ tenant, active, latest, revision }: ConfigHead): string =>
  configMark + JSON.stringify([tenant, active, latest, revision])

/** Before the tenant and the name of an entry of the vault, as JSON. */
const secretMark = 'secret\t'

const secretLine = (tenant: string, name: string): string => secretMark + JSON.stringify([tenant, name])

function changeOf(line: string): StoreChange {
  if (line.startsWith(breakerMark)) return { breaker: line.slice(breakerMark.length) }
  if (line.startsWith(secretMark)) {
    const [tenant, name] = JSON.parse(line.slice(secretMark.length)) as [string, string]
    return { secret: { tenant, name } }
  }
  if (!line.startsWith(configMark)) return { turn: line }
  const [tenant, active, latest, revision] = JSON.parse(line.slice(configMark.length)) as [
    string,
    number,
    number,
    number,
  ]
  return { config: { tenant, active, latest, revision } }
}

/** What instances tell each other: which turns, breakers and secrets have changed, by name, and where pointers are. */
export interface Changes {
  readonly port: StoreChanges
  /** Tells the other instances, soon: what comes while a notification is under way goes with the next one. */
  announce(...turns: readonly (string | undefined)[]): void
  start(): Promise<void>
  stop(): Promise<void>
}

export function createChanges({ schema, connect, notify, report }: ChangesOptions): Changes {
  const channel = `keelson ${schema}`
  const sender: string = randomUUID()
  const listeners = new Set<(change: StoreChange) => void>()
  const waiting = new Set<string>()
  let sending = false
  let stopped = false

  const listener = createListener({ connect, channel, heard, report })

  function heard(payload: string): void {
    const [from, ...lines] = payload.split('\n')
    if (from === sender) return
    for (const line of lines) {
      for (const tell of [...listeners]) {
        try {
          tell(changeOf(line))
        } catch (error) {
          report(error)
        }
      }
    }
  }

  function tellOf(...lines: readonly (string | undefined)[]): void {
    for (const line of lines) if (line !== undefined) waiting.add(line)
    if (sending || waiting.size === 0) return
    sending = true
    setImmediate(() => void send())
  }

  async function send(): Promise<void> {
    try {
      while (waiting.size > 0) await notify(channel, nextPayload())
    } catch (error) {
      // A change that is not told is found by whoever looks, only later.
      waiting.clear()
      if (!stopped) report(error)
    } finally {
      sending = false
    }
  }

  function nextPayload(): string {
    let payload = sender
    for (const turn of waiting) {
      const longer = `${payload}\n${turn}`
      if (Buffer.byteLength(longer) > payloadBytes && payload !== sender) break
      waiting.delete(turn)
      if (Buffer.byteLength(longer) <= payloadBytes) payload = longer
    }
    return payload
  }

  return {
    port: {
      subscribe(tell) {
        const own = (change: StoreChange) => tell(change)
        listeners.add(own)
        return () => listeners.delete(own)
      },
    },

    announce: tellOf,

    start: () => listener.start(),
    stop() {
      stopped = true
      return listener.stop()
    },
  }
}

/** The store, telling the other instances of what its verbs have changed once that is stored. */
export function announcing(
  store: Store,
  { announce }: Pick<Changes, 'announce'>,
): Pick<Store, 'approvals' | 'breakers' | 'config' | 'loop' | 'vault'> {
  const { approvals, breakers, config, loop, vault } = store
  return {
    vault: {
      ...vault,

      async put(entry, at) {
        const put = await vault.put(entry, at)
        announce(secretLine(entry.tenant, entry.name))
        return put
      },

      async remove(tenant, name) {
        const removed = await vault.remove(tenant, name)
        if (removed) announce(secretLine(tenant, name))
        return removed
      },
    },

    config: {
      ...config,

      async add(tenant, add) {
        const added = await config.add(tenant, add)
        if (added.outcome !== 'conflict') announce(configLine(added.head))
        return added
      },

      async activate(tenant, number, base, at) {
        const activated = await config.activate(tenant, number, base, at)
        if (activated.outcome === 'activated') announce(configLine(activated.head))
        return activated
      },
    },

    loop: {
      ...loop,

      async commit(lease, change) {
        const committed = await loop.commit(lease, change)
        announce(lease.turn, committed.next?.turn.id)
        return committed
      },

      async flush(lease, log) {
        await loop.flush(lease, log)
        announce(lease.turn)
      },

      async cancel(reach, turn, instance, at) {
        const cancelled = await loop.cancel(reach, turn, instance, at)
        if (cancelled) announce(turn, cancelled.next?.turn.id)
        return cancelled
      },

      async resume(turn, instance, at) {
        const resumed = await loop.resume(turn, instance, at)
        if (resumed) announce(turn)
        return resumed
      },

      async takeOver(instance, staleBefore, at, limit) {
        const taken = await loop.takeOver(instance, staleBefore, at, limit)
        announce(...taken.map(({ turn }) => turn.id))
        return taken
      },
    },

    breakers: {
      ...breakers,

      async swap(record) {
        const written = await breakers.swap(record)
        if (written) announce(breakerMark + record.provider)
        return written
      },
    },

    approvals: {
      ...approvals,

      async decide(reach, id, decision) {
        const decided = await approvals.decide(reach, id, decision)
        announce(decided?.turn)
        return decided
      },

      async expire(at, limit) {
        const expired = await approvals.expire(at, limit)
        announce(...expired.map(({ turn }) => turn))
        return expired
      },
    },
  }
}
