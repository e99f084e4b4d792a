import type { Implementation } from '../../contract/invoke.ts'
import { canonicalJson } from '../../kernel/canonical.ts'
import type { Agent } from '../agents/index.ts'
import type { ChangeNote } from '../config/index.ts'
import type { VaultWrite } from '../vault/index.ts'
import { checkProgram, splitCommand } from './command.ts'
import { type ConnectorDefinition, checkDefinition, jsonOf, secretNames, secretsEntry } from './connector.ts'
import type { AddConnector, Connector, connectorOperations, GivenTransport, UpdateConnector } from './contract.ts'
import type { ConnectorChange, ConnectorsDependencies } from './dependencies.ts'
import { connectorErrors } from './errors.ts'
import type { Link } from './link.ts'
import { type TenantLinks, Tenants } from './tenants.ts'

const mostConnectors = 1_000

export interface EquippedTurn {
  readonly id: string
  readonly tenant: string
}

export interface Connectors {
  readonly operations: Implementation<typeof connectorOperations>
  /**
   * The agent with the tools of its connectors, the same object while nothing has changed. Fails when one that the agent
   * names cannot be connected to; of all (`*`) those that can be are taken. They stay usable until the turn is released,
   * also when they are taken out of the configuration meanwhile, unless the signal was aborted before.
   */
  equip(agent: Agent, turn: EquippedTurn, signal: AbortSignal): Agent | Promise<Agent>
  release(turn: string): void
  /** Starts, restarts and stops what another generation has changed. What nobody has used here yet waits for its use. */
  follow(tenant: string): void
  /** Ends every connection and every program. */
  stop(): Promise<void>
}

export function createConnectors(dependencies: ConnectorsDependencies): Connectors {
  const { allowProcesses, clock, definitions, driver, report, store, vault } = dependencies
  for (const definition of driver?.definitions ?? []) checkDefinition(definition)
  const tenants = driver ? new Tenants({ ...dependencies, driver }) : null

  const present = () => {
    if (!tenants) throw connectorErrors.CONNECTORS_UNAVAILABLE()
    return tenants
  }

  const linkOf = async (tenant: string, name: string): Promise<Link> => {
    const link = (await present().of(tenant)).link(name)
    if (!link) throw connectorErrors.CONNECTOR_NOT_FOUND()
    return link
  }

  async function listed(tenant: string): Promise<Connector[]> {
    const [known, health] = await Promise.all([present().of(tenant), store.list(tenant, mostConnectors)])
    const noted = new Map(health.map((row) => [row.name, row]))
    const all = known.links.map((link) => known.describe(link, noted.get(link.definition.name)))
    return all.toSorted((one, other) => (one.registeredAt ?? 0) - (other.registeredAt ?? 0))
  }

  async function shown(tenant: string, name: string): Promise<Connector> {
    const found = (await listed(tenant)).find((connector) => connector.name === name)
    if (!found) throw connectorErrors.CONNECTOR_NOT_FOUND()
    return found
  }

  /** What an operator wants, as it will be kept. */
  function transportOf(given: GivenTransport, secrets: AddConnector['secrets']): ConnectorDefinition['transport'] {
    const named = Object.keys(secrets ?? {})
    if (given.type === 'http') return { type: 'http', url: given.url, headers: given.headers ?? named }
    if (given.type !== 'stdio') return given
    if (!allowProcesses) throw connectorErrors.CONNECTOR_PROCESSES_OFF()
    const { command, args } = given.args
      ? { command: given.command, args: given.args }
      : splitCommand(String(given.command))
    checkProgram(String(command), driver?.programs ?? [])
    return { type: 'stdio', command, args, env: given.env ?? named }
  }

  function checked(definition: ConnectorDefinition, secrets: AddConnector['secrets']): ConnectorDefinition {
    checkDefinition(definition)
    const names = secretNames(definition)
    for (const [name, value] of Object.entries(secrets ?? {})) {
      const fits = names.includes(name) && typeof value === 'string' && value !== '' && !/[\0\r\n]/.test(value)
      if (fits) continue
      throw connectorErrors.CONNECTOR_INVALID({
        message: `the connector is not valid: the secret ${JSON.stringify(name.slice(0, 64))} must be a text in one line, and be named by the transport`,
      })
    }
    return definition
  }

  /** All of a connector's secrets are one entry: those that are not given again are gone. */
  async function sealed(tenant: string, name: string, secrets: AddConnector['secrets']): Promise<VaultWrite[]> {
    if (secrets === undefined) return []
    const text = Object.keys(secrets).length === 0 ? null : JSON.stringify(secrets)
    return [await vault.seal(tenant, secretsEntry(name), text)]
  }

  const inCode = (name: string) => driver?.definitions.find((definition) => definition.name === name)

  const inBackground = (link: Link | undefined) => {
    if (!link || link.definition.enabled === false) return
    // Its failure is noted and shown with the connector.
    link.start().catch(() => {})
  }

  const operations: Connectors['operations'] = {
    list: ({ principal }) => listed(principal.tenant),
    get: ({ principal }, { name }) => shown(principal.tenant, name),

    async add(context, input) {
      const { tenant } = context.principal
      const known = await present().of(tenant)
      const transport = transportOf(input.transport, input.secrets)
      const definition = checked(definitionOf(input.name, transport, input), input.secrets)
      const exists = () => connectorErrors.CONNECTOR_EXISTS({ message: `there is a connector ${input.name}` })
      if (known.link(input.name)) throw exists()
      const make: ConnectorChange['make'] = (current) => {
        if (current) throw exists()
        return definition
      }
      const secrets = await sealed(tenant, input.name, input.secrets)
      await definitions.change(context, input.name, { make, secrets }, noteOf(input, 'connector_add'))
      await store.register(tenant, input.name, clock.now())
      inBackground((await present().of(tenant)).link(input.name))
      return await shown(tenant, input.name)
    },

    async update(context, input) {
      const { tenant } = context.principal
      const { definition: before } = await linkOf(tenant, input.name)
      const transport = input.transport && transportOf(input.transport, input.secrets)
      const updated = (now: ConnectorDefinition) => {
        const fields = { ...now, ...withoutUndefined(input) }
        return checked(definitionOf(input.name, transport ?? now.transport, fields), input.secrets)
      }
      updated(before)
      const make: ConnectorChange['make'] = (current) => {
        const now = current ?? inCode(input.name)
        if (!now) throw connectorErrors.CONNECTOR_NOT_FOUND()
        const definition = updated(now)
        // One of the code stays the code's as long as nothing but its secrets is given.
        return canonicalJson(jsonOf(definition)) === canonicalJson(jsonOf(now)) ? current : definition
      }
      const secrets = await sealed(tenant, input.name, input.secrets)
      await definitions.change(context, input.name, { make, secrets }, noteOf(input, 'connector_update'))
      const link = (await present().of(tenant)).link(input.name)
      // It may have been connected with the secrets from before.
      if (input.secrets) await link?.stop('idle')
      inBackground(link)
      return await shown(tenant, input.name)
    },

    async remove(context, { keepSecrets: keep = false, name, ...note }) {
      const { tenant } = context.principal
      const link = await linkOf(tenant, name)
      if ((await present().of(tenant)).sourceOf(name) === 'code') {
        throw connectorErrors.CONNECTORS_FIXED()
      }
      const make: ConnectorChange['make'] = (current) => {
        if (!current) throw connectorErrors.CONNECTOR_NOT_FOUND()
        return null
      }
      const secrets = await sealed(tenant, name, keep ? undefined : {})
      await definitions.change(context, name, { make, secrets }, noteOf(note, 'connector_remove'))
      // Whoever removes it wants its program gone, also while turns still have it.
      await link.stop()
      await store.remove(tenant, name)
      await present().of(tenant)
    },

    async start({ principal }, { name }) {
      await (await linkOf(principal.tenant, name)).start()
      return await shown(principal.tenant, name)
    },

    async stop({ principal }, { name }) {
      await (await linkOf(principal.tenant, name)).stop()
      return await shown(principal.tenant, name)
    },

    async restart({ principal }, { name }) {
      const link = await linkOf(principal.tenant, name)
      await link.stop('idle')
      await link.start()
      return await shown(principal.tenant, name)
    },

    async test({ principal }, { name }) {
      const link = await linkOf(principal.tenant, name)
      const startedAt = clock.now()
      await link.start()
      const tools = await link.refresh()
      return { toolCount: tools.length, durationMs: Math.max(0, clock.now() - startedAt) }
    },

    async tools({ principal }, input) {
      const name = input?.name
      const links =
        name === undefined
          ? (await present().of(principal.tenant)).links.filter(({ definition }) => definition.enabled !== false)
          : [await linkOf(principal.tenant, name)]
      const offered = await Promise.all(links.map((link) => link.ready()))
      return offered.flat().map(({ described }) => described)
    },
  }

  return {
    operations,

    equip(agent, turn, signal) {
      if (agent.connectors.length === 0) return agent
      const all = present()
      const known = all.of(turn.tenant)
      const equip = (links: TenantLinks) => {
        if (!signal.aborted) all.hold(turn.id, links.hold(agent))
        return links.equip(agent)
      }
      return known instanceof Promise ? known.then(equip) : equip(known)
    },

    release: (turn) => tenants?.release(turn),

    follow(tenant) {
      tenants?.follow(tenant).catch((error) => report(error, 'connectors'))
    },

    stop: async () => tenants?.stop(),
  }
}

const noteOf = ({ author, description, expected, numbering, trigger }: ChangeNote, preset: string): ChangeNote =>
  withoutUndefined({ author, description, expected, numbering, trigger: trigger ?? preset }) as ChangeNote

const withoutUndefined = <Value extends object>(value: Value): Partial<Value> =>
  Object.fromEntries(Object.entries(value).filter((entry) => entry[1] !== undefined)) as Partial<Value>

function definitionOf(
  name: string,
  transport: ConnectorDefinition['transport'],
  { displayName, enabled, risks, trustAnnotations }: Omit<UpdateConnector, 'name' | 'transport'>,
): ConnectorDefinition {
  const fields = withoutUndefined({ displayName, enabled, trustAnnotations, risks })
  return { name, transport, ...fields } as ConnectorDefinition
}
