import type { Agent } from '../agents/index.ts'
import type { Tool } from '../tools/index.ts'
import { type ConnectorDefinition, jsonOf, secretNames, secretsEntry } from './connector.ts'
import type { Connector } from './contract.ts'
import type { ConnectorsDependencies } from './dependencies.ts'
import type { ConnectorDriver } from './driver.ts'
import { connectorErrors } from './errors.ts'
import { HealthNotes } from './health-notes.ts'
import { Link } from './link.ts'
import { sameTransport } from './section.ts'
import type { ConnectorHealth } from './store.ts'

type Dependencies = ConnectorsDependencies & { readonly driver: ConnectorDriver }

interface Equipped {
  readonly version: number
  readonly agent: Agent
}

/** The connectors of each tenant on this instance, as its definitions were last seen. */
export class Tenants {
  readonly #dependencies: Dependencies
  readonly #tenants = new Map<string, TenantLinks>()
  /** By turn: lets go of what it was given. */
  readonly #held = new Map<string, () => void>()
  #stopped = false

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies
  }

  /** At once, when nothing has to be read for it. */
  of(tenant: string): TenantLinks | Promise<TenantLinks> {
    if (this.#stopped) throw connectorErrors.CONNECTOR_STOPPED()
    let links = this.#tenants.get(tenant)
    if (!links) {
      links = new TenantLinks(tenant, this.#dependencies)
      this.#tenants.set(tenant, links)
    }
    const { definitions } = this.#dependencies
    const listed = definitions.list(tenant)
    if (!(listed instanceof Promise)) return links.follow(listed)
    const known = links
    return listed.then((list) => known.follow(list))
  }

  hold(turn: string, release: () => void): void {
    this.release(turn)
    this.#held.set(turn, release)
  }

  release(turn: string): void {
    const release = this.#held.get(turn)
    if (!release) return
    this.#held.delete(turn)
    release()
  }

  /** Takes the definitions as they are now, and starts what is new, if the tenant was here before. */
  async follow(tenant: string): Promise<void> {
    if (this.#stopped || !this.#tenants.has(tenant)) return
    await (await this.of(tenant)).begin()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all([...this.#tenants.values()].map((links) => links.stop()))
  }
}

/** Connections that a change opens at the same time, of one tenant. */
const startsAtOnce = 4

/** The links of one tenant, and the agents with their tools. */
export class TenantLinks {
  readonly #tenant: string
  readonly #dependencies: Dependencies
  readonly #notes: HealthNotes
  #listed: readonly ConnectorDefinition[] | null = null
  #links: ReadonlyMap<string, { readonly text: string; readonly link: Link; readonly source: Connector['source'] }> =
    new Map()
  /** Goes up with every change of what agents are to get. */
  #version = 0
  readonly #equipped = new WeakMap<Agent, Equipped>()
  /** How many turns have it. */
  readonly #holders = new Map<Link, number>()
  /** Those that are no longer defined and that a turn still has. */
  readonly #retired = new Set<Link>()
  /** Those that another generation has brought and that are to be started. */
  #fresh: Link[] = []

  constructor(tenant: string, dependencies: Dependencies) {
    this.#tenant = tenant
    this.#dependencies = dependencies
    const { report, store } = dependencies
    this.#notes = new HealthNotes(tenant, store, (error) => report(error, 'connectors'))
  }

  get links(): readonly Link[] {
    return [...this.#links.values()].map(({ link }) => link)
  }

  link(name: string): Link | undefined {
    return this.#links.get(name)?.link
  }

  sourceOf(name: string): Connector['source'] | undefined {
    return this.#links.get(name)?.source
  }

  /** Takes the definitions as they are now. A link whose definition is the same goes on. */
  follow(listed: readonly ConnectorDefinition[]): this {
    if (listed === this.#listed) return this
    const first = this.#listed === null
    this.#listed = listed
    const { driver } = this.#dependencies
    const wanted = new Map(driver.definitions.map((definition) => [definition.name, { definition, trusted: true }]))
    for (const definition of listed) {
      const own = driver.definitions.find(({ name }) => name === definition.name)
      // Where to connect to is the host's word as long as nobody has changed it.
      wanted.set(definition.name, { definition, trusted: own !== undefined && sameTransport(own, definition) })
    }
    const before = this.#links
    this.#links = new Map(
      [...wanted].map(([name, { definition, trusted }]) => {
        const text = JSON.stringify([trusted, jsonOf(definition)])
        const known = before.get(name)
        const source = driver.definitions.some((each) => each.name === name) ? 'code' : 'operator'
        const link = known?.text === text ? known.link : this.#linkOf(definition, trusted)
        // What nobody needed before nobody needs now.
        const asleep = known?.link.status === 'idle' || known?.link.status === 'stopped'
        if (!first && link !== known?.link && !asleep && definition.enabled !== false) this.#fresh.push(link)
        return [name, { text, link, source }] as const
      }),
    )
    const kept = new Set(this.links)
    for (const [name, { link }] of before) {
      if (!wanted.has(name)) this.#notes.forget(name)
      if (!kept.has(link)) this.#retire(link)
    }
    this.#version += 1
    return this
  }

  /** Starts what `follow` has brought, a few at a time. Their failures are noted with them. */
  async begin(): Promise<void> {
    const waiting = this.#fresh
    this.#fresh = []
    const worker = async () => {
      for (let link = waiting.shift(); link; link = waiting.shift()) {
        if (this.link(link.definition.name) === link) await link.start().catch(() => {})
      }
    }
    await Promise.all(Array.from({ length: startsAtOnce }, worker))
  }

  /** Keeps the agent's connectors usable until what is returned is called. */
  hold(agent: Agent): () => void {
    const links = this.#linksOf(agent)
    for (const link of links) this.#holders.set(link, (this.#holders.get(link) ?? 0) + 1)
    return () => {
      for (const link of links) {
        const left = (this.#holders.get(link) ?? 1) - 1
        if (left > 0) this.#holders.set(link, left)
        else this.#holders.delete(link)
        if (left === 0 && this.#retired.has(link)) this.#retire(link)
      }
    }
  }

  /** Ends it, or has it ended by the last turn that has it. */
  #retire(link: Link): void {
    if (this.#holders.has(link)) {
      this.#retired.add(link)
      return
    }
    this.#retired.delete(link)
    link.stop().catch((error) => this.#dependencies.report(error, 'connectors'))
  }

  #linkOf(definition: ConnectorDefinition, trusted: boolean): Link {
    const { allowProcesses, clock, driver, report } = this.#dependencies
    const { name, transport } = definition
    return new Link({
      definition,
      driver,
      trusted,
      clock,
      secrets: async () => {
        if (transport.type === 'stdio' && !allowProcesses) throw connectorErrors.CONNECTOR_PROCESSES_OFF()
        return await this.#secretsOf(definition)
      },
      succeeded: () => this.#notes.succeeded(name, clock.now()),
      failed: (text) => this.#notes.failed(name, text, clock.now()),
      changed: () => {
        this.#version += 1
      },
      report: (error) => report(error, `connector ${name}`),
    })
  }

  async #secretsOf(definition: ConnectorDefinition): Promise<Readonly<Record<string, string>>> {
    const names = secretNames(definition)
    if (names.length === 0) return {}
    const text = await this.#dependencies.vault.get(this.#tenant, secretsEntry(definition.name))
    const kept = (text === null ? {} : JSON.parse(text)) as Readonly<Record<string, string>>
    const missing = names.filter((name) => !Object.hasOwn(kept, name))
    if (missing.length > 0) {
      throw connectorErrors.CONNECTOR_SECRET_MISSING({
        message: `the connector "${definition.name}" lacks the secret ${missing.join(', ')}; update it with secrets`,
      })
    }
    return Object.fromEntries(names.map((name) => [name, kept[name] ?? '']))
  }

  describe({ definition, status, tools }: Link, stored: ConnectorHealth | undefined): Connector {
    const { displayName = definition.name, enabled = true, name } = definition
    const health = this.#notes.newest(name, stored)
    const { lastError, lastErrorAt, lastSuccessAt } = health
    const failing = lastErrorAt !== null && lastErrorAt >= (lastSuccessAt ?? 0)
    const never = lastErrorAt === null && lastSuccessAt === null
    return {
      ...definition,
      displayName,
      enabled,
      source: this.sourceOf(name) ?? 'operator',
      status,
      toolCount: status === 'disabled' || status === 'stopped' ? 0 : (tools?.length ?? 0),
      operationalState: !enabled ? 'setup_incomplete' : failing ? 'failing' : never ? 'ready' : 'healthy',
      registeredAt: stored?.registeredAt ?? null,
      lastSuccessAt,
      lastError,
      lastErrorAt,
    }
  }

  equip(agent: Agent): Agent | Promise<Agent> {
    const known = this.#equipped.get(agent)
    if (known?.version === this.#version) return known.agent
    const { connectors } = agent
    const links = this.#linksOf(agent)
    const unknown = links.filter(({ tools, status }) => tools === null || status === 'stopped' || status === 'disabled')
    if (unknown.length === 0) return this.#join(agent, links)
    return Promise.all(
      unknown.map((link) =>
        link.ready().catch((error) => {
          // What fails of all is shown with the connector; what an agent names, it cannot do without.
          if (connectors !== '*') throw error
        }),
      ),
    ).then(() => this.#join(agent, links))
  }

  #linksOf({ connectors }: Agent): readonly Link[] {
    return connectors === '*' ? this.#enabled() : connectors.map((name) => this.#named(name))
  }

  #enabled(): Link[] {
    return this.links.filter(({ definition, status }) => definition.enabled !== false && status !== 'stopped')
  }

  #named(name: string): Link {
    const link = this.link(name)
    if (!link) throw connectorErrors.CONNECTOR_NOT_FOUND({ message: `there is no connector "${name}"` })
    return link
  }

  /** The agent's own tools first, then those of each connector, all in an order that does not depend on time. */
  #join(agent: Agent, links: readonly Link[]): Agent {
    const tools = new Map<string, Tool>(agent.tools.map((tool) => [tool.name, tool]))
    const inOrder = links.toSorted((one, other) => (one.definition.name < other.definition.name ? -1 : 1))
    for (const { tools: offered } of inOrder) {
      for (const { tool } of offered ?? []) if (!tools.has(tool.name)) tools.set(tool.name, tool)
    }
    const made = Object.freeze({ ...agent, tools: [...tools.values()] })
    // One that is still to come raises the version.
    this.#equipped.set(agent, { version: this.#version, agent: made })
    return made
  }

  async stop(): Promise<void> {
    await Promise.all([...this.links, ...this.#retired].map((link) => link.stop()))
    await this.#notes.settled()
  }
}
