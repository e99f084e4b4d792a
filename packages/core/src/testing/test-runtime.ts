import type { AgentDefinition } from '../capabilities/agents/index.ts'
import type { Provider } from '../capabilities/models/index.ts'
import { type Principal, singleOwner } from '../kernel/context.ts'
import { type Client, createRuntime, type Runtime, type RuntimeOptions } from '../runtime.ts'
import type { Store } from '../stores.ts'
import { isScripted } from './scripted-model.ts'
import { sequentialIds } from './sequential-ids.ts'
import { isVirtualClock, type VirtualClock, virtualClock } from './virtual-clock.ts'

export interface TestRuntimeOptions extends Partial<Omit<RuntimeOptions, 'agents' | 'providers'>> {
  readonly agents: readonly AgentDefinition[]
  /** Answers every call of every agent, whatever model the agent names. */
  readonly model: Provider
  /** Time stands still and identifiers count up, unless `clock` or `newId` are given. @default false */
  readonly deterministic?: boolean
}

export interface TestRuntime extends Runtime {
  /** The operator of the default tenant. */
  readonly client: Client
  /** Another caller, without roles unless given. */
  caller(subject: string, principal?: Partial<Principal>): Client
  /** The clock it runs on. Throws when that is not a virtual one. */
  readonly clock: VirtualClock
  /** Everything the runtime reported. */
  readonly reported: readonly { readonly error: unknown; readonly where: string }[]
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A runtime for a test: the agents as they are, with `model` in place of their models, on an in-memory database unless
 * a store is given. Stop it at the end, or declare it with `await using`; unless `stopMs` is given, it does not wait for
 * tools that still run.
 */
export async function createTestRuntime(given: TestRuntimeOptions): Promise<TestRuntime> {
  const { model, deterministic = false, ...others } = given
  const options = deterministic ? { clock: virtualClock(), newId: sequentialIds(), ...others } : others
  const reported: { error: unknown; where: string }[] = []
  const runtime = createRuntime({
    stopMs: 0,
    ...options,
    store: options.store ?? (await memoryStore()),
    providers: [{ ...model, id: '*', stream: (name, ...call) => model.stream(nameFor(model, name), ...call) }],
    onError(error, where) {
      reported.push({ error, where })
      options.onError?.(error, where)
    },
  })
  await runtime.start()
  const test: Omit<TestRuntime, 'clock'> = {
    ...runtime,
    client: runtime.as(singleOwner('code')),
    caller: (subject, principal) =>
      runtime.as({ tenant: 'default', subject, roles: [], via: 'code', ambient: false, ...principal }),
    reported,
    [Symbol.asyncDispose]: () => runtime.stop(),
  }
  // Not enumerable: a test may spread the runtime over what it replaces.
  return Object.defineProperty(test, 'clock', {
    get() {
      if (isVirtualClock(options.clock)) return options.clock
      throw new Error('this runtime has no virtual clock: pass `deterministic: true`, or `clock: virtualClock()`')
    },
  }) as TestRuntime
}

/** A script answers for every provider and is told which one was meant; any other model knows its own names only. */
const nameFor = (model: Provider, id: string): string => (isScripted(model) ? id : id.slice(id.indexOf('/') + 1))

async function memoryStore(): Promise<Store> {
  // The name is not a literal, so that bundlers and the type checker leave this optional package alone.
  const name: string = '@keelson/store-sqlite'
  const { sqliteStore } = (await import(name)) as { sqliteStore: (file: string) => Store }
  return sqliteStore(':memory:')
}
