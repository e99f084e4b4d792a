import type { AgentDefinition } from './capabilities/agents/index.ts'
import type { BreakerOptions } from './capabilities/breakers/index.ts'
import type { SettingDefinitions } from './capabilities/config/index.ts'
import type { ConnectorDriver } from './capabilities/connectors/index.ts'
import type { BudgetCrossing, BudgetDefinition, PriceSource } from './capabilities/costs/index.ts'
import type { TurnLimits } from './capabilities/loop/index.ts'
import { isModelFailure, type Provider } from './capabilities/models/index.ts'
import type { Tool } from './capabilities/tools/index.ts'
import type { VaultOptions } from './capabilities/vault/index.ts'
import type { Clock } from './kernel/clock.ts'
import { defineErrors, isKeelsonError } from './kernel/errors.ts'
import type { NewId } from './kernel/ids.ts'
import { strayOption } from './kernel/options.ts'
import type { Store } from './stores.ts'

export interface RuntimeOptions {
  readonly store: Store
  readonly providers: readonly Provider[]
  readonly agents: readonly AgentDefinition[]
  /** Tools that agents made by configuration may name, besides those of `agents`. */
  readonly tools?: readonly Tool[]
  /** What `defineSettings` made. */
  readonly settings?: SettingDefinitions
  /** How many of a tenant's newest generations stay, besides those that are pinned or in use. @default 1_000 */
  readonly keepGenerations?: number
  readonly limits?: Partial<TurnLimits>
  /** When providers that fail are left alone, and for how long. */
  readonly breakers?: BreakerOptions
  /** Who decides approvals: operators only, or also the subject whose turn asks. @default 'operator' */
  readonly deciders?: 'operator' | 'owner'
  /** How long `stop` lets tools that run come to their end; model calls are aborted at once. @default 10_000 */
  readonly stopMs?: number
  /**
   * Within this time the turns of an instance that died go on elsewhere: it is dead after two thirds of it without a
   * sign of life, and others look for its turns three times in it. The same for all on one database. @default 15_000
   */
  readonly leaseMs?: number
  /** The key of the vault. Needed on a database that others can reach; an embedded one keeps a key file beside it. */
  readonly vault?: VaultOptions
  /** `mcpConnectors()` of `@keelson/core/mcp`. Without it, nothing connects. */
  readonly connectors?: ConnectorDriver
  /** True lets connectors start programs. @default false */
  readonly allowProcesses?: boolean
  /** Limits on what model calls may cost. */
  readonly budgets?: readonly BudgetDefinition[]
  /** Prices of models whose registration has none, e.g. `genaiPrices()`. @default such prices are unknown */
  readonly prices?: PriceSource
  /** Told once per window of each threshold of a budget that is reached. Never throws back. */
  readonly onBudget?: (crossing: BudgetCrossing) => void
  readonly clock?: Clock
  readonly newId?: NewId
  /**
   * Told of what callers are not: failed model calls, store errors, defects. Never throws back. @default `console.error`
   */
  readonly onError?: (error: unknown, where: string) => void
}

export const runtimeErrors = defineErrors({
  RUNTIME_OPTIONS_INVALID: { kind: 'bad_request', message: 'an option of createRuntime is not valid' },
})

const known: Readonly<Record<keyof RuntimeOptions, true>> = {
  store: true,
  providers: true,
  agents: true,
  tools: true,
  settings: true,
  keepGenerations: true,
  limits: true,
  breakers: true,
  deciders: true,
  stopMs: true,
  leaseMs: true,
  vault: true,
  connectors: true,
  allowProcesses: true,
  budgets: true,
  prices: true,
  onBudget: true,
  clock: true,
  newId: true,
  onError: true,
}

/** Throws `RUNTIME_OPTIONS_INVALID` for what a capability does not check itself. */
export function checkRuntimeOptions(options: RuntimeOptions): RuntimeOptions {
  const need = (fulfilled: boolean, problem: string | null) => {
    if (!fulfilled) throw runtimeErrors.RUNTIME_OPTIONS_INVALID({ message: `createRuntime: ${problem}` })
  }
  need(typeof options === 'object' && options !== null, 'it takes an object with store, providers and agents')
  const { agents, deciders = 'operator', leaseMs = 1, providers, stopMs = 0, store } = options
  const stray = strayOption(options, known)
  need(stray === null, stray)
  need(typeof store?.open === 'function', "store must be a store, e.g. sqliteStore('app.db')")
  const isProvider = (provider?: Partial<Provider>) => typeof provider?.stream === 'function'
  need(
    Array.isArray(providers) && providers.every(isProvider),
    'providers must be a list of providers, e.g. [openai({ apiKey })]',
  )
  need(Array.isArray(agents), 'agents must be a list, e.g. [defineAgent({ ... })]')
  need(deciders === 'operator' || deciders === 'owner', "deciders must be 'operator' or 'owner'")
  need(isTime(leaseMs, 1), 'leaseMs must be a whole number of milliseconds from 1')
  need(isTime(stopMs, 0), 'stopMs must be a whole number of milliseconds from 0')
  return options
}

/** Timers of the platform hold no more than 31 bits. */
const isTime = (ms: number, least: number): boolean => Number.isInteger(ms) && ms >= least && ms < 2 ** 31

/** Where nobody listens, errors must not vanish. What was foreseen says all by itself; of a defect the stack is told. */
export function reportToConsole(error: unknown, where: string): void {
  const foreseen = isKeelsonError(error) || isModelFailure(error)
  const told = error instanceof Error && !foreseen ? (error.stack ?? error.message) : String(error)
  const cause = error instanceof Error && error.cause instanceof Error ? `\n  caused by ${error.cause}` : ''
  // biome-ignore lint/suspicious/noConsole: the default of `onError`
  console.error(`keelson: ${where}: ${told}${cause}`)
}
