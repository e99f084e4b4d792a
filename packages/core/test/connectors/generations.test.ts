import type { ConnectorDefinition, ConnectorDriver } from '@keelson/core'
import { mcpConnectors } from '@keelson/core/mcp'
import { callTool, say } from '@keelson/core/testing'
import { describe, expect, it } from 'vitest'
import { isAlive, newJournal, openScene, serverScript, until } from './scene.ts'

const transport = (journal = '') =>
  ({ type: 'stdio', command: process.execPath, args: [serverScript, 'plain', journal] }) as const

const pids = (lines: readonly string[]) => lines.flatMap((line) => Number(/^started (\d+)/.exec(line)?.[1]) || [])
const invalid = (problem: string) =>
  expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(problem) })

describe('a connector that an operator adds', () => {
  it('is a generation without its secrets, and goes and comes with the generations', async () => {
    const journal = newJournal()
    const { client } = await openScene({ programs: [process.execPath] })
    const given = { ...transport(journal.file), env: ['TOKEN'] }
    const secrets = { TOKEN: 'very-secret-token' }
    await client.connectors.add({ name: 'shop', transport: given, secrets, trigger: 'connector_register' })
    const { number, trigger, content } = await client.config.active()
    expect([number, trigger]).toEqual([1, 'connector_register'])
    expect(content['connectors']).toEqual({ shop: { transport: { ...given, env: ['TOKEN'] } } })
    expect(JSON.stringify(content)).not.toContain('very-secret-token')

    const [first = 0] = await until(() => pids(journal.lines()).length === 1 && pids(journal.lines()))
    await client.config.activate({ generation: 0 })
    await until(() => !isAlive(first))
    expect(await client.connectors.list()).toEqual([])

    await client.config.activate({ generation: 1 })
    const [, second = 0] = await until(() => pids(journal.lines()).length === 2 && pids(journal.lines()))
    expect(isAlive(second)).toBe(true)
    await client.connectors.remove({ name: 'shop', trigger: 'connector_remove', numbering: 'reuse' })
    await until(() => !isAlive(second))
    expect(await client.vault.list({})).toEqual([])
  })

  it('stays with the turn that began with it', async () => {
    const journal = newJournal()
    const { client } = await openScene({
      programs: [process.execPath],
      model: [callTool('shop__echo', { text: 'one' }), callTool('shop__echo', { text: 'two' }), say('done')],
    })
    await client.connectors.add({ name: 'shop', transport: transport(journal.file), risks: { echo: 'safe' } })
    const turn = client.run('clerk', { message: 'go' })
    let changed = false
    for await (const event of turn) {
      if (event.type !== 'step.finished' || changed) continue
      changed = true
      await client.config.activate({ generation: 0 })
    }
    const calls = await client.sessions.toolCalls({ turn: (await turn.accepted).id })
    expect(calls.map(({ output }) => output)).toEqual(['one', 'two'])
    await until(() => pids(journal.lines()).every((pid) => !isAlive(pid)))
  })

  it('is refused when somebody else added one of its name at the same time', async () => {
    const { client } = await openScene({ programs: [process.execPath] })
    const adding = () => client.connectors.add({ name: 'shop', transport: { ...transport() }, enabled: false })
    const outcomes = await Promise.allSettled([adding(), adding(), adding()])
    const codes = outcomes.map((each) => (each.status === 'rejected' ? each.reason.code : 'added')).toSorted()
    expect(codes).toEqual(['CONNECTOR_EXISTS', 'CONNECTOR_EXISTS', 'added'])
    expect((await client.config.list({ limit: 10 })).generations).toHaveLength(1)
  })
})

describe('operators at one moment', () => {
  /** Connects to nothing and remembers with what it was asked to. */
  async function openRecording(definitions: readonly ConnectorDefinition[] = []) {
    const opened: Parameters<ConnectorDriver['open']>[0][] = []
    const driver: ConnectorDriver = {
      ...mcpConnectors({ definitions }),
      async open(connection) {
        opened.push(connection)
        return {
          tools: async () => [],
          call: async () => ({ output: '', isError: false }),
          ping: async () => {},
          close: async () => {},
        }
      },
    }
    const { client } = await openScene({ runtime: { connectors: driver } })
    return {
      client,
      /** What it is connected to with now: its address, and the values that go there. */
      async used(name: string) {
        await client.connectors.restart({ name })
        const last = opened.at(-1)
        const transport = last?.definition.transport
        return [transport?.type === 'http' && transport.url, last?.secrets]
      },
    }
  }
  const at = (host: string) => ({ type: 'http', url: `https://${host}.test/` }) as const

  it('who add one name leave the secrets of the one who won', async () => {
    const { client, used } = await openRecording()
    const hosts = ['one', 'two', 'three', 'four']
    const adding = hosts.map((host) =>
      client.connectors.add({ name: 'shop', transport: at(host), secrets: { key: `of ${host}` } }),
    )
    const outcomes = await Promise.allSettled(adding)
    const codes = outcomes.map((each) => (each.status === 'rejected' ? each.reason.code : 'added'))
    expect(codes.toSorted()).toEqual([...Array(3).fill('CONNECTOR_EXISTS'), 'added'])
    const winner = hosts[codes.indexOf('added')] ?? ''
    expect(await used('shop')).toEqual([at(winner).url, { key: `of ${winner}` }])
  })

  it('who change one leave an address with the secrets that were given for it', async () => {
    const { client, used } = await openRecording()
    await client.connectors.add({ name: 'shop', transport: at('zero'), secrets: { key: 'of zero' } })
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(
        ['zero', 'one', 'two'].map((host) =>
          client.connectors.update({ name: 'shop', transport: at(host), secrets: { key: `of ${host}` } }),
        ),
      )
      const [url, secrets] = await used('shop')
      expect(secrets).toEqual({ key: `of ${new URL(String(url)).hostname.replace('.test', '')}` })
    }
  })

  it('who change different things of one lose neither', async () => {
    const { client } = await openRecording()
    await client.connectors.add({ name: 'shop', transport: at('zero') })
    await Promise.all([
      client.connectors.update({ name: 'shop', displayName: 'The shop' }),
      client.connectors.update({ name: 'shop', enabled: false }),
    ])
    expect(await client.connectors.get({ name: 'shop' })).toMatchObject({ displayName: 'The shop', enabled: false })
  })

  it('who remove and change one do not bring it back', async () => {
    const { client } = await openRecording()
    await client.connectors.add({ name: 'shop', transport: at('zero'), secrets: { key: 'x' } })
    const [, changing] = await Promise.allSettled([
      client.connectors.remove({ name: 'shop' }),
      client.connectors.update({ name: 'shop', transport: at('one'), secrets: { key: 'y' } }),
    ])
    expect(await client.connectors.list()).toEqual([])
    expect(await client.vault.list({})).toEqual([])
    if (changing.status === 'rejected') expect(changing.reason).toMatchObject({ code: 'CONNECTOR_NOT_FOUND' })
  })
})

describe('the section', () => {
  const stdio = { type: 'stdio', command: 'node', args: [], env: [] }

  it.each([
    [
      'a secret in it',
      { transport: { type: 'http', url: 'https://a.test', headers: [] }, secrets: { a: 'b' } },
      'secrets',
    ],
    ['a secret in its transport', { transport: { ...stdio, password: 'x' } }, 'transport.password'],
    ['a program that is not allowed', { transport: { ...stdio, command: 'bash' } }, 'bash'],
    ['no transport', { enabled: true }, 'transport.type'],
  ])('refuses an entry with %s', async (_, entry, problem) => {
    const { client } = await openScene({})
    await expect(client.config.change({ patch: { connectors: { shop: entry } } })).rejects.toEqual(invalid(problem))
  })

  it('refuses programs where none may be started', async () => {
    const { client } = await openScene({ runtime: { allowProcesses: false } })
    const patch = { connectors: { shop: { transport: stdio } } }
    await expect(client.config.change({ patch })).rejects.toEqual(invalid('starts no programs'))
  })

  it('refuses to take away what an agent names', async () => {
    const { client } = await openScene({ agent: { connectors: [] } })
    const patch = {
      connectors: { shop: { transport: stdio, enabled: false } },
      agents: { clerk: { connectors: ['shop'] } },
    }
    await client.config.change({ patch })
    expect((await client.agents.get({ id: 'clerk' })).connectors).toEqual(['shop'])
    await expect(client.connectors.remove({ name: 'shop' })).rejects.toEqual(invalid('there is no connector "shop"'))
    const other = { agents: { clerk: { connectors: ['bank'] } } }
    await expect(client.config.change({ patch: other })).rejects.toEqual(invalid('there is no connector "bank"'))
  })
})
