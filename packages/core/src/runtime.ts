import packageJson from '../package.json' with { type: 'json' }
import type { Agent } from './capabilities/agents/index.ts'
import { createAgents } from './capabilities/agents/service.ts'
import type { Approval } from './capabilities/approvals/index.ts'
import { createApprovals } from './capabilities/approvals/service.ts'
import { policyOf } from './capabilities/breakers/policy.ts'
import { createBreakers } from './capabilities/breakers/service.ts'
import { surfacesSection } from './capabilities/config/documents.ts'
import { type ConfigSection, type ConfigSnapshot, emptyContent } from './capabilities/config/index.ts'
import { createProviderKeys } from './capabilities/config/provider-keys.ts'
import { createConfig } from './capabilities/config/service.ts'
import { createSettings } from './capabilities/config/setting-values.ts'
import { settingsSection } from './capabilities/config/settings.ts'
import { configuredConnectors } from './capabilities/connectors/configured.ts'
import { connectorsSection } from './capabilities/connectors/section.ts'
import { createConnectors } from './capabilities/connectors/service.ts'
import { createAccounting } from './capabilities/costs/accounting.ts'
import type { BudgetCrossing } from './capabilities/costs/index.ts'
import { checkPrices, createPrices } from './capabilities/costs/rate-card.ts'
import { createBudgets } from './capabilities/costs/section.ts'
import { createCosts } from './capabilities/costs/service.ts'
import { createHeldTurns } from './capabilities/loop/held-turns.ts'
import { limitsOf } from './capabilities/loop/limits.ts'
import { createLoop } from './capabilities/loop/service.ts'
import { noteOperations } from './capabilities/memory/index.ts'
import { createMemory } from './capabilities/memory/service.ts'
import { type Models, modelErrors } from './capabilities/models/index.ts'
import { createModels } from './capabilities/models/service.ts'
import { createObservatory } from './capabilities/observatory/service.ts'
import { createRealtime } from './capabilities/realtime/service.ts'
import { createTickets } from './capabilities/realtime/tickets.ts'
import { createSessions } from './capabilities/sessions/service.ts'
import { createSystem } from './capabilities/system/service.ts'
import { toolsSection } from './capabilities/tools/index.ts'
import { createVault } from './capabilities/vault/service.ts'
import { createCaller } from './contract/invoke.ts'
import { systemClock } from './kernel/clock.ts'
import { type CallContext, type Caller, nobody, principalOf } from './kernel/context.ts'
import { newUuid } from './kernel/ids.ts'
import { type Client, createClients } from './runtime-client.ts'
import { createLife } from './runtime-life.ts'
import { checkRuntimeOptions, type RuntimeOptions, reportToConsole } from './runtime-options.ts'

export type { Client } from './runtime-client.ts'
export type { RuntimeOptions } from './runtime-options.ts'

export interface Runtime {
  /** The operations, called as somebody, e.g. `as({ subject: user.id })`; null is nobody, who may call open operations only. */
  as(caller: Caller | null, context?: Omit<CallContext, 'principal'>): Client
  /** Opens the store and goes on with what a dead process left. Done by the first call when it was not done before. */
  start(): Promise<void>
  /** Stops turns at their last commit point, so that the next start goes on with them, and closes the store. */
  stop(): Promise<void>
  /** Hands an error to `onError`. */
  reportError(error: unknown, where: string): void
}

/** Names of the providers that are registered, or that an agent's model names where one provider serves any. */
const providersOf = ({ find, prefixes }: Models, agents: readonly Agent[]): readonly string[] => {
  const named = agents.flatMap(({ models }) => models.flatMap((id) => find(id)?.prefix ?? []))
  return [...new Set([...prefixes, ...named])]
}

/**
 * Wires the capabilities together. Opens nothing: the first call, the first mount or `start` does. Throws for an option
 * that is not valid.
 */
export function createRuntime(given: RuntimeOptions): Runtime {
  const options = checkRuntimeOptions(given)
  const { store, clock = systemClock, newId = newUuid, deciders = 'operator' } = options
  const { onError = reportToConsole } = options
  const limits = limitsOf(options.limits)
  const allowProcesses = options.allowProcesses === true
  const instance = newId()

  const reportError = (error: unknown, where: string) => {
    try {
      onError(error, where)
    } catch {
      // An observer that breaks must not break what it observes.
    }
  }

  function crossed(crossings: readonly BudgetCrossing[]): void {
    for (const crossing of crossings) {
      try {
        options.onBudget?.(crossing)
      } catch (error) {
        reportError(error, `budget ${crossing.window.budget}`)
      }
    }
  }

  const ready = () => life.ready()

  checkPrices(options.providers)
  const budgets = createBudgets(options.budgets ?? [])
  const prices = createPrices(options.prices ?? null, () => clock.now())
  const accounting = createAccounting({ prices, clock, newId })
  const costs = createCosts({
    store: store.costs,
    accounting,
    budgetsOf(tenant) {
      const active = config.reader.active(tenant)
      const within = ({ content }: ConfigSnapshot) => budgets.within(tenant, content)
      return active instanceof Promise ? active.then(within) : within(active)
    },
    clock,
    instance,
    crossed,
  })
  const breakers = createBreakers({
    store: store.breakers,
    policy: policyOf(options.breakers),
    clock,
    instance,
    exclusive: store.exclusive,
    names: async (tenant) => providersOf(models, await usableAgents({ tenant })),
    relieve: (provider) => models.meter.relieve(provider),
    report: reportError,
  })
  const models = createModels({
    providers: options.providers,
    gate: breakers,
    charge: costs.charge,
    sessions: store.sessions,
    clock,
    keyOf: (tenant, provider) => providerKeys.keyOf(tenant, provider),
  })
  const vault = createVault({
    store: store.vault,
    clock,
    options: options.vault,
    besideDatabase: () => store.vaultKeyFile?.(),
  })
  const agents = createAgents({
    definitions: options.agents,
    tools: options.tools ?? [],
    hasModel: (id) => models.find(id) !== null,
    active: (tenant) => config.reader.active(tenant),
  })
  const definitions = options.settings ?? {}
  /** What can be configured: each capability's own section. */
  const sections: readonly ConfigSection[] = [
    agents.section,
    toolsSection(agents.tools),
    connectorsSection({ driver: options.connectors, allowProcesses }),
    budgets.section,
    settingsSection(definitions),
    surfacesSection,
  ]
  const config = createConfig({
    store: store.config,
    sections,
    clock,
    keep: options.keepGenerations ?? 1_000,
    activated: (tenant) => connectors.follow(tenant),
    report: reportError,
  })
  const connectors = createConnectors({
    driver: options.connectors,
    allowProcesses,
    definitions: configuredConnectors({ reader: config.reader, edit: config.edit }),
    store: store.connectors,
    vault: vault.vault,
    clock,
    report: reportError,
  })
  const settings = createSettings({ definitions, config, vault: vault.vault })
  const providerKeys = createProviderKeys({
    vault: vault.vault,
    clock,
    has: (provider) => models.find(`${provider}/-`) !== null,
  })
  const sessions = createSessions({ store: store.sessions, clock, newId })
  const realtime = createRealtime({
    sessions: store.sessions,
    tickets: createTickets(clock),
    clock,
    told: store.changes !== undefined,
    report: reportError,
  })
  const memory = createMemory({ store: store.memory, clock, newId })
  // What agents may do for their users through tools; turns are not among it, they would never end.
  const call = createCaller([noteOperations, memory.notes])
  const loop = createLoop({
    store: store.loop,
    sessions: store.sessions,
    approvals: store.approvals,
    agents,
    config: config.reader,
    equip: connectors.equip,
    release: connectors.release,
    models,
    gate: breakers,
    realtime,
    accounting,
    budgets,
    crossed,
    clock,
    newId,
    limits,
    instance,
    ready,
    memory,
    callAs(owner) {
      const context = { principal: { ...owner, roles: [], via: 'agent', ambient: false } }
      return (operation, input) => call(context, operation, input)
    },
    decideApproval: async (context, decision) => approvals.decide(context, decision),
    followDecisions: async () => approvals.sweep(),
    report: reportError,
  })
  const held = createHeldTurns({ store: store.loop, runner: loop.runner, instance, report: reportError })
  const approvals = createApprovals({
    store: store.approvals,
    clock,
    deciders,
    resume: (turn) => loop.runner.resume(turn, 'approval', null),
    followUp,
    report: reportError,
  })
  /** Of models that no provider is registered for. */
  function tellOfMissing(): void {
    for (const { id, models: named } of agents.within(emptyContent).all) {
      const missing = named.filter((model) => models.find(model) === null).join(', ')
      const message = `no provider is registered for ${missing}; there are: ${models.prefixes.join(', ') || 'none'}`
      if (missing !== '') reportError(modelErrors.MODEL_UNKNOWN({ message }), `agent ${id}`)
    }
  }

  const life = createLife({
    providerKeys,
    store,
    opened: tellOfMissing,
    instance,
    config,
    breakers,
    prices,
    costs,
    runner: loop.runner,
    held,
    approvals,
    connectors,
    realtime,
    clock,
    leaseMs: options.leaseMs ?? 15_000,
    stopMs: options.stopMs ?? 10_000,
    report: reportError,
  })
  const observatory = createObservatory({ sessions: store.sessions, models })
  const system = createSystem({ clock, version: packageJson.version, agents: usableAgents })

  /** Those of the code layer while the configuration cannot be read: health is asked for when the store has failed. */
  async function usableAgents({ tenant }: { readonly tenant: string }) {
    const unknown = { content: emptyContent }
    const { content } = life.started()
      ? await (async () => config.reader.active(tenant))().catch(() => unknown)
      : unknown
    return agents.within(content).all
  }

  /** Carries out an approved call of a turn that did not wait, as a turn of its own in the same session. */
  async function followUp({ id, arguments: text, session, subject, tenant, tool, toolCall, turn }: Approval) {
    const origin = await store.sessions.turn({ tenant, subject }, turn)
    if (!origin) return
    const principal = { tenant, subject, roles: [], via: 'system', ambient: false }
    const message = [
      { type: 'text', text: `The call of ${tool} was approved.` },
      { type: 'tool-call', call: toolCall, tool, arguments: text },
    ] as const
    const { authority, approvals: mode, schedule } = origin.options
    // What was approved is carried out, although the session may have been closed since.
    const runOptions = { session, message, whenClosed: 'answer', authority, approvals: mode } as const
    const ofSchedule = schedule === undefined ? runOptions : { ...runOptions, schedule }
    await loop.run({ principal }, origin.agent, ofSchedule, id).accepted
  }

  const { operations: keys } = providerKeys
  const capabilities = { agents, approvals, breakers, config, costs, models, observatory, realtime, sessions, settings }
  const wrapped = {
    connectors: connectors.operations,
    notes: memory.notes,
    providerKeys: keys,
    vault: vault.operations,
  }
  const clientOf = createClients({ ...capabilities, ...wrapped, loop, system }, ready)

  return {
    as: (caller, context) => clientOf({ ...context, principal: caller === null ? nobody : principalOf(caller) }),
    start: life.start,
    stop: life.stop,
    reportError,
  }
}
