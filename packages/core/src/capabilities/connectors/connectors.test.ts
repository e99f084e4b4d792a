import { randomBytes } from 'node:crypto'
import type { Store } from '@keelson/core/stores'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../kernel/clock.ts'
import type { CallContext } from '../../kernel/context.ts'
import { defineAgent } from '../agents/index.ts'
import type { ToolContext } from '../tools/index.ts'
import { createVault } from '../vault/service.ts'
import { type ConnectorDefinition, checkDefinition } from './connector.ts'
import type { ConnectorDefinitions, ConnectorsDependencies } from './dependencies.ts'
import { ConnectionFailure, type ConnectorDriver, type OpenConnection, type RemoteTool } from './driver.ts'
import { createConnectors } from './service.ts'

const code = (error: string) => expect.objectContaining({ code: error })
const as = (tenant: string): CallContext => ({
  principal: { tenant, subject: 'boss', roles: ['operator'], via: 'code', ambient: false },
})
const acme = as('acme')
/** A turn of a tenant's, one at a time. */
const turnOf = (tenant: string) => ({ id: 'turn', tenant })
const never = new AbortController().signal
const agent = defineAgent({ id: 'a', instructions: 'x', models: ['p/m'], connectors: '*' })
const toolNames = ({ tools }: { tools: readonly { name: string }[] }) => tools.map(({ name }) => name)

const limits = {
  startMs: 5_000,
  callMs: 5_000,
  healthMs: 60_000,
  idleMs: 60_000,
  backoffMs: 1,
  longestBackoffMs: 2,
  attempts: 3,
  tools: 4,
  outputBytes: 1_024,
}

/** A driver without a protocol: remembers what it was asked to open, and fails as long as it is told to. */
interface FakeDriver {
  readonly opened: OpenConnection[]
  readonly closed: string[]
  readonly driver: ConnectorDriver
  failure: Error | null
  tools: readonly RemoteTool[]
  hold: Promise<unknown>
}

function fakeDriver(definitions: readonly ConnectorDefinition[] = []): FakeDriver {
  const opened: OpenConnection[] = []
  const closed: string[] = []
  const fake: FakeDriver = {
    opened,
    closed,
    failure: null,
    tools: [remote('one'), remote('two')],
    hold: Promise.resolve(),
    driver: {
      definitions,
      limits,
      programs: ['node'],
      async open(open) {
        opened.push(open)
        await Promise.race([
          fake.hold,
          new Promise((_, reject) => open.signal.addEventListener('abort', () => reject(open.signal.reason))),
        ])
        if (fake.failure) throw fake.failure
        return {
          tools: async () => fake.tools,
          call: async (tool) => ({ output: `called ${tool}`, isError: false }),
          ping: async () => {},
          close: async () => void closed.push(open.definition.name),
        }
      },
    },
  }
  return fake
}

const remote = (name: string): RemoteTool => ({
  name,
  description: `Does ${name}`,
  inputSchema: { type: 'object' },
  readOnly: undefined,
  destructive: undefined,
  idempotent: undefined,
})

/** Definitions as the configuration keeps them: a new list with each change, one per tenant. */
function fakeDefinitions(store: Store) {
  const lists = new Map<string, readonly ConnectorDefinition[]>()
  const triggers: string[] = []
  const none: readonly ConnectorDefinition[] = []
  const definitions: ConnectorDefinitions = {
    list: (tenant) => lists.get(tenant) ?? none,
    async change({ principal: { tenant } }, changed, { make, secrets }, { trigger = '' }) {
      triggers.push(trigger)
      const all = lists.get(tenant) ?? none
      const made = make(all.find(({ name }) => name === changed) ?? null)
      await store.config.putSecrets(tenant, { secrets, base: 0, at: 0 })
      lists.set(tenant, [...all.filter(({ name }) => name !== changed), ...(made ? [made] : [])])
    },
  }
  return { definitions, lists, triggers }
}

async function open(fake = fakeDriver(), more: Partial<ConnectorsDependencies> = {}) {
  const store = sqliteStore(':memory:')
  await store.open()
  const { vault } = createVault({
    store: store.vault,
    clock: systemClock,
    options: { key: randomBytes(32) },
    besideDatabase: () => null,
  })
  const registry = fakeDefinitions(store)
  const reported: unknown[] = []
  const connectors = createConnectors({
    driver: fake.driver,
    definitions: registry.definitions,
    store: store.connectors,
    vault,
    clock: systemClock,
    allowProcesses: true,
    report: (error) => reported.push(error),
    ...more,
  })
  onTestFinished(async () => {
    await connectors.stop()
    await store.close()
  })
  return { ...connectors, ops: connectors.operations, fake, registry, reported, vault, store: store.connectors }
}

const http = { type: 'http', url: 'https://example.test/mcp' } as const

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 2))
}

describe('an operator', () => {
  it('adds a connector: its secrets go to the vault, it is connected to, and agents get its tools', async () => {
    const { equip, fake, ops, registry, vault } = await open()
    const added = await ops.add(acme, { name: 'web', transport: http, secrets: { authorization: 'Bearer x' } })
    expect(added).toMatchObject({
      name: 'web',
      displayName: 'web',
      enabled: true,
      source: 'operator',
      transport: { type: 'http', url: http.url, headers: ['authorization'] },
      registeredAt: expect.any(Number),
    })
    expect(JSON.stringify([added, [...registry.lists]])).not.toContain('Bearer')
    expect(await vault.get('acme', 'connector/web')).toBe('{"authorization":"Bearer x"}')
    expect(toolNames(await equip(agent, turnOf('acme'), never))).toEqual(['web__one', 'web__two'])
    expect(fake.opened[0]).toMatchObject({ secrets: { authorization: 'Bearer x' }, trusted: false })
    expect(await ops.list(acme, undefined)).toMatchObject([
      { status: 'connected', operationalState: 'healthy', toolCount: 2 },
    ])
    expect(registry.triggers).toEqual(['connector_add'])
  })

  it('gives a program as a command line, which is checked before anything is kept', async () => {
    const { ops, registry, vault } = await open()
    const added = await ops.add(acme, {
      name: 'tool',
      transport: { type: 'stdio', command: 'node "my server.js" --fast' },
      secrets: { API_KEY: 'x' },
      trigger: 'connector_register',
    })
    expect(added.transport).toEqual({
      type: 'stdio',
      command: 'node',
      args: ['my server.js', '--fast'],
      env: ['API_KEY'],
    })
    expect(registry.triggers).toEqual(['connector_register'])
    const refused = [
      ['bash -c ls', 'CONNECTOR_COMMAND_INVALID'],
      ['node x; rm -rf /', 'CONNECTOR_COMMAND_INVALID'],
      ['node $(id)', 'CONNECTOR_COMMAND_INVALID'],
      ['', 'CONNECTOR_COMMAND_INVALID'],
    ] as const
    for (const [command, error] of refused) {
      // The command is looked at before the name.
      const adding = ops.add(acme, { name: 'tool', transport: { type: 'stdio', command }, secrets: { A: 'b' } })
      await expect(adding).rejects.toThrow(code(error))
    }
    expect(await vault.get('acme', 'connector/tool')).toBe('{"API_KEY":"x"}')
    await expect(ops.add(acme, { name: 'tool', transport: http })).rejects.toThrow(code('CONNECTOR_EXISTS'))
    for (const name of ['', 'a b', 'a__b', '../x', 'ü']) {
      await expect(ops.add(acme, { name, transport: http })).rejects.toThrow(code('CONNECTOR_INVALID'))
    }
    const secrets = { 'not a header': 'x' }
    await expect(ops.add(acme, { name: 'b', transport: { ...http, headers: ['a'] }, secrets })).rejects.toThrow(
      code('CONNECTOR_INVALID'),
    )
    await expect(ops.add(acme, { name: 'b', transport: http, secrets: { a: 'x\r\ny: z' } })).rejects.toThrow(
      code('CONNECTOR_INVALID'),
    )
    expect(registry.lists.get('acme')).toHaveLength(1)
  })

  it('may have no program started where the host does not allow it', async () => {
    const { ops } = await open(fakeDriver(), { allowProcesses: false })
    const transport = { type: 'stdio', command: 'node x.js' } as const
    await expect(ops.add(acme, { name: 'a', transport })).rejects.toThrow(code('CONNECTOR_PROCESSES_OFF'))
    await ops.add(acme, { name: 'b', transport: http })
    await expect(ops.update(acme, { name: 'b', transport })).rejects.toThrow(code('CONNECTOR_PROCESSES_OFF'))
  })

  it('changes one: the connection is made anew, agents get the new tools, other fields stay', async () => {
    const { equip, fake, ops, release } = await open()
    await ops.add(acme, { name: 'web', transport: http, displayName: 'Web', risks: { one: 'safe' } })
    const before = await equip(agent, turnOf('acme'), never)
    fake.tools = [remote('three')]
    const changed = await ops.update(acme, { name: 'web', transport: { ...http, url: 'https://example.test/v2' } })
    expect(changed).toMatchObject({
      displayName: 'Web',
      risks: { one: 'safe' },
      transport: { url: 'https://example.test/v2' },
    })
    // The turn that has it may still call it.
    expect(fake.closed).toEqual([])
    const context = { signal: never } as ToolContext
    expect(await before.tools[0]?.execute({}, context)).toBe('called one')
    release('turn')
    await until(() => fake.closed.length === 1)
    const after = await equip(agent, turnOf('acme'), never)
    expect([toolNames(before), toolNames(after)]).toEqual([['web__one', 'web__two'], ['web__three']])
    await ops.update(acme, { name: 'web', enabled: false })
    expect(toolNames(await equip(agent, turnOf('acme'), never))).toEqual([])
    expect(await ops.get(acme, { name: 'web' })).toMatchObject({
      status: 'disabled',
      operationalState: 'setup_incomplete',
    })
    await expect(ops.start(acme, { name: 'web' })).rejects.toThrow(code('CONNECTOR_DISABLED'))
    await expect(ops.update(acme, { name: 'none' })).rejects.toThrow(code('CONNECTOR_NOT_FOUND'))
  })

  it('gives one other secrets, and it is connected to with those', async () => {
    const { fake, ops } = await open()
    await ops.add(acme, { name: 'web', transport: http, secrets: { key: 'old' } })
    await ops.start(acme, { name: 'web' })
    await ops.update(acme, { name: 'web', secrets: { key: 'new' } })
    await ops.start(acme, { name: 'web' })
    expect(fake.opened.map(({ secrets }) => secrets)).toEqual([{ key: 'old' }, { key: 'new' }])
  })

  it('removes one with its secrets, and adds it again as if it had never been', async () => {
    const { equip, fake, ops, vault } = await open()
    await ops.add(acme, { name: 'web', transport: http, secrets: { key: 'x' } })
    await ops.start(acme, { name: 'web' })
    fake.failure = new ConnectionFailure('gone', { permanent: true })
    await expect(ops.restart(acme, { name: 'web' })).rejects.toThrow(code('CONNECTOR_FAILED'))
    expect(await ops.list(acme, undefined)).toMatchObject([{ operationalState: 'failing' }])
    await ops.remove(acme, { name: 'web' })
    expect(await ops.list(acme, undefined)).toEqual([])
    expect(await vault.get('acme', 'connector/web')).toBeNull()
    expect(toolNames(await equip(agent, turnOf('acme'), never))).toEqual([])
    await expect(ops.remove(acme, { name: 'web' })).rejects.toThrow(code('CONNECTOR_NOT_FOUND'))
    fake.failure = null
    const again = await ops.add(acme, { name: 'web', transport: http, enabled: false })
    expect(again).toMatchObject({ lastError: null, lastSuccessAt: null, operationalState: 'setup_incomplete' })
  })

  it('reaches the connectors of no other tenant', async () => {
    const { equip, ops } = await open(fakeDriver([{ name: 'shared', transport: { ...http, headers: [] } }]))
    await ops.add(acme, { name: 'web', transport: http })
    expect((await ops.list(as('other'), undefined)).map(({ name }) => name)).toEqual(['shared'])
    await expect(ops.remove(as('other'), { name: 'web' })).rejects.toThrow(code('CONNECTOR_NOT_FOUND'))
    expect(toolNames(await equip(agent, turnOf('other'), never))).toEqual(['shared__one', 'shared__two'])
    expect(toolNames(await equip(agent, turnOf('acme'), never))).toHaveLength(4)
  })

  it('may change what the code defines, and not remove it', async () => {
    const defined = checkDefinition({ name: 'shared', transport: { ...http, headers: [] } })
    const { ops } = await open(fakeDriver([defined]))
    await expect(ops.remove(acme, { name: 'shared' })).rejects.toThrow(code('CONNECTORS_FIXED'))
    expect(await ops.update(acme, { name: 'shared', enabled: false })).toMatchObject({ source: 'code', enabled: false })
    expect(await ops.list(as('other'), undefined)).toMatchObject([{ enabled: true }])
  })

  it('gives one of the code its secrets, and the definition stays the code’s', async () => {
    const defined = { name: 'shared', transport: { ...http, headers: ['key'] } }
    const { ops, registry } = await open(fakeDriver([defined]))
    await ops.update(acme, { name: 'shared', secrets: { key: 'x' } })
    expect(await ops.start(acme, { name: 'shared' })).toMatchObject({ status: 'connected' })
    expect(registry.lists.get('acme')).toEqual([])
    await ops.update(acme, { name: 'shared', enabled: false, secrets: { key: 'y' } })
    expect(registry.lists.get('acme')).toMatchObject([{ name: 'shared', enabled: false }])
  })
})

describe('a link', () => {
  it('opens one connection for all who wait for it', async () => {
    const { equip, fake } = await open(fakeDriver([{ name: 'web', transport: { ...http, headers: [] } }]))
    const gate = Promise.withResolvers<void>()
    fake.hold = gate.promise
    const agents = [
      equip(agent, turnOf('acme'), never),
      equip(agent, turnOf('acme'), never),
      equip(agent, turnOf('acme'), never),
    ]
    gate.resolve()
    const [first, ...others] = await Promise.all(agents)
    expect(fake.opened).toHaveLength(1)
    expect(toolNames(first ?? agent)).toHaveLength(2)
    expect(equip(agent, turnOf('acme'), never)).toBe(others.at(-1))
  })

  it('that is stopped while it connects stays stopped', async () => {
    const { fake, ops } = await open(fakeDriver([{ name: 'web', transport: { ...http, headers: [] } }]))
    fake.hold = new Promise(() => {})
    const starting = Promise.resolve(ops.start(acme, { name: 'web' }))
    starting.catch(() => {})
    await until(() => fake.opened.length === 1)
    expect(await ops.stop(acme, { name: 'web' })).toMatchObject({ status: 'stopped' })
    await expect(starting).rejects.toThrow(code('CONNECTOR_STOPPED'))
    fake.hold = Promise.resolve()
    expect(await ops.start(acme, { name: 'web' })).toMatchObject({ status: 'connected' })
  })

  it('is tried again a few times, then only when it is needed, and not at all when that would not help', async () => {
    const { equip, fake, ops } = await open(fakeDriver([{ name: 'web', transport: { ...http, headers: [] } }]))
    fake.failure = new ConnectionFailure('not now')
    await expect(ops.start(acme, { name: 'web' })).rejects.toThrow(code('CONNECTOR_FAILED'))
    await until(async () => (await ops.get(acme, { name: 'web' })).status === 'failed')
    expect(fake.opened).toHaveLength(limits.attempts)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(fake.opened).toHaveLength(limits.attempts)
    fake.failure = null
    expect(toolNames(await equip(agent, turnOf('acme'), never))).toHaveLength(2)
    fake.failure = new ConnectionFailure('never', { permanent: true })
    await expect(ops.restart(acme, { name: 'web' })).rejects.toThrow(code('CONNECTOR_FAILED'))
    expect(await ops.get(acme, { name: 'web' })).toMatchObject({
      status: 'failed',
      lastError: expect.stringContaining('never'),
    })
  })

  it('keeps its tools while the connection is lost, so that a prompt stays the same', async () => {
    const { equip, fake, ops } = await open(fakeDriver([{ name: 'web', transport: { ...http, headers: [] } }]))
    const before = await equip(agent, turnOf('acme'), never)
    fake.failure = new ConnectionFailure('still down')
    fake.opened[0]?.ended(new ConnectionFailure('lost'))
    expect(await equip(agent, turnOf('acme'), never)).toBe(before)
    expect((await ops.get(acme, { name: 'web' })).operationalState).toBe('failing')
    const [tool] = before.tools
    const context = { signal: new AbortController().signal } as never
    await expect(Promise.resolve(tool?.execute({}, context))).rejects.toThrow(/lost|still down/)
    fake.failure = null
    await until(async () => (await ops.get(acme, { name: 'web' })).status === 'connected')
    expect(await equip(agent, turnOf('acme'), never)).toBe(before)
    expect(await tool?.execute({}, context)).toBe('called one')
  })

  it('takes no more tools than it may, leaves out what is no tool, and tells of both', async () => {
    const { equip, fake, reported } = await open(fakeDriver([{ name: 'web', transport: { ...http, headers: [] } }]))
    const broken = { ...remote('broken'), inputSchema: { type: 'array' } }
    const huge = { ...remote('huge'), inputSchema: { type: 'object', description: 'x'.repeat(70_000) } }
    fake.tools = [broken, huge, ...['a', 'b', 'c', 'd', 'e'].map(remote)]
    expect(toolNames(await equip(agent, turnOf('acme'), never))).toEqual(['web__a', 'web__b', 'web__c', 'web__d'])
    expect(reported).toHaveLength(3)
  })

  it('of all that an agent may have, one that is down takes the others not along', async () => {
    const definitions = ['down', 'up'].map((name) => ({
      name,
      transport: { ...http, headers: name === 'down' ? ['key'] : [] },
    }))
    const { equip } = await open(fakeDriver(definitions))
    expect(toolNames(await equip(agent, turnOf('acme'), never))).toEqual(['up__one', 'up__two'])
    const picky = defineAgent({ id: 'b', instructions: 'x', models: ['p/m'], connectors: ['up', 'down'] })
    await expect(Promise.resolve(equip(picky, turnOf('acme'), never))).rejects.toThrow(code('CONNECTOR_SECRET_MISSING'))
  })
})
