import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createRuntime } from '@keelson/core'
import { mcpConnectors } from '@keelson/core/mcp'
import { finish, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import {
  assistant,
  chat,
  dataOf,
  modelName,
  mycelosServer,
  namesOf,
  password,
  type ServerOptions,
  serve,
  type TestServer,
} from './mycelos-server.ts'

const everything = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/package.json')),
  'dist/index.js',
)

const open = (options: Partial<ServerOptions> = {}) =>
  mycelosServer({ model: scriptedModel([], { otherwise: say('Hi.') }), ...options })

/** Types a command, and gives what it says. */
async function run(server: Pick<TestServer, 'ask'>, message: string): Promise<string> {
  const events = await chat(server, { message, session_id: 's' })
  expect(namesOf(events)).toEqual(['session', 'system-response', 'done'])
  expect(dataOf(events, 'done')).toEqual({ tokens: 0, model: '', cost: 0 })
  return dataOf(events, 'system-response').content
}

const messagesOf = async (server: Pick<TestServer, 'ask'>) =>
  (await server.ask('GET', '/api/sessions/s/messages')).json.messages

describe('a slash command', () => {
  test('goes past the model, and is kept with its answer', async () => {
    const model = scriptedModel([])
    await using server = await open({ model })
    const help = await run(server, '/help')
    expect(model.calls).toEqual([])
    const messages = await messagesOf(server)
    expect(messages).toMatchObject([
      { role: 'user', content: '/help' },
      { role: 'assistant', content: help, metadata: { agent: 'System' } },
    ])
    expect(messages[0]).not.toHaveProperty('metadata')
    expect((await server.ask('GET', '/api/sessions')).json[0]).not.toHaveProperty('title')
  })

  test('is seen by the model when the session goes on', async () => {
    const model = scriptedModel([say('Yes.')])
    await using server = await open({ model })
    await run(server, '/agent')
    await chat(server, { message: 'Did you see?', session_id: 's' })
    expect(model.calls[0]?.request.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
    expect((await server.ask('GET', '/api/sessions')).json).toMatchObject([{ title: 'Did you see?', message_count: 4 }])
  })

  test('that begins with /run is a message', async () => {
    await using server = await open({ model: scriptedModel([say('Running.'), say('Running again.')]) })
    expect(dataOf(await chat(server, '/run report'), 'text').content).toBe('Running.')
    expect(dataOf(await chat(server, '/run'), 'text').content).toBe('Running again.')
    expect(await run(server, '/runner')).toContain('Unknown command: /runner')
  })

  test('that breaks is an error and done, keeps what was typed, and is told to the host alone', async () => {
    const store = sqliteStore(':memory:')
    const notes = () => Promise.reject(new Error('no such table: at /var/lib/secret.db'))
    await using server = await open({ store: { ...store, memory: { ...store.memory, notes } } })
    const events = await chat(server, { message: '/memory', session_id: 's' })
    expect(events.slice(1)).toEqual([
      { event: 'error', data: { message: 'An internal error occurred.' } },
      { event: 'done', data: { tokens: 0, model: '', cost: 0 } },
    ])
    expect(await messagesOf(server)).toMatchObject([{ role: 'user', content: '/memory' }])
    expect(server.runtime.reported.map(({ where }) => where)).toEqual(['POST /api/chat (mycelos)'])
    expect(await run(server, '/cost')).toContain('USD')
  })

  test.each(['/help', '/HELP', '/Help  ', '/ help', '/help now'])('%j lists what there is', async (message) => {
    await using server = await open()
    const help = await run(server, message)
    for (const name of 'help memory cost sessions config agent connector credential model reload'.split(' ')) {
      expect(help).toContain(`\`/${name}`)
    }
  })

  test.each('bg demo inbox mount restart schedule workflow'.split(' '))(
    '/%s says that there is none here',
    async (name) => {
      await using server = await open()
      expect(await run(server, `/${name} list`)).toBe(`/${name} is not available on this server.`)
    },
  )

  test.each([
    ['/', 'Unknown command: /'],
    ['/constructor', 'Unknown command: /constructor'],
    ['/__proto__', 'Unknown command: /__proto__'],
    ['/toString x', 'Unknown command: /tostring'],
    ['//', 'Unknown command: //'],
    [`/${'x'.repeat(5_000)}`, `Unknown command: /${'x'.repeat(40)}…`],
    ['/ünï\ncode', 'Unknown command: /ünï'],
    ['/\u0000', 'Unknown command: /'],
  ])('%j is unknown', async (message, said) => {
    await using server = await open()
    expect(await run(server, message)).toContain(said)
  })

  test.each([
    `/cost ${' '.repeat(500_000)}today${' '.repeat(500_000)}`,
    `/cost today${'\n\t'.repeat(250_000)}${'\u00a0'.repeat(1_000)}`,
  ])('is found within all the white space there may be', async (message) => {
    await using server = await open()
    expect(await run(server, message)).toContain('USD')
  })

  test.each([
    '/sessions resume x',
    '/agent assistant grant weather',
    '/agent list all',
    '/memory forget',
    '/memory search',
    '/memory delete 1',
    '/cost yesterday',
    '/cost today week',
    '/config show',
    '/config rollback',
    '/config rollback 1.5',
    '/config rollback -1',
    '/config rollback 1 2',
    '/config rollback 99999999999999999999',
    '/config list 3',
    '/connector add',
    '/connector add x',
    '/connector remove',
    '/connector remove a b',
    '/connector list x',
    '/connector test x',
    '/model add x',
    '/reload x',
    '/credential store openai',
    '/credential store openai a b',
    '/credential delete',
    '/credential delete a b',
    '/credential list x',
  ])('%s says how it is used, and changes nothing', async (message) => {
    await using server = await open({ connectors: mcpConnectors(), allowProcesses: true })
    const state = async () => [
      (await server.ask('GET', '/api/config')).json,
      (await server.ask('GET', '/api/config/generations')).json,
      await server.runtime.client.vault.list({}),
    ]
    const before = await state()
    expect(await run(server, message)).toBe(`Usage: \`${usageOf(message, await run(server, '/help'))}\``)
    expect(await state()).toEqual(before)
  })

  const usageOf = (message: string, help: string): string | undefined =>
    [...help.matchAll(/`([^`]+)`/g)]
      .map(([, usage]) => usage)
      .find((usage) => usage?.split(' ')[0] === message.split(' ')[0])

  test('speaks the language of the user', async () => {
    await using server = await open({
      surface: { password: 'test-password-0123', user: { name: 'A', language: 'de' } },
    })
    expect(await run(server, '/cost gestern')).toContain('So geht es')
    expect(await run(server, '/mount')).toContain('gibt es auf diesem Server nicht')
  })
})

describe('/agent, /model and /sessions', () => {
  test('show what there is', async () => {
    const agents = [assistant(), assistant({ id: 'poet', name: 'The poet', tools: [], models: ['other/verse'] })]
    await using server = await open({ agents })
    const listed = await run(server, '/agent')
    expect(listed).toContain('**The assistant** (`assistant`) \u2190')
    expect(await run(server, '/agent list')).toBe(listed)
    expect(await run(server, '/agent poet')).toContain('other/verse')
    expect(await run(server, '/agent assistant info')).toContain('weather')
    expect(await run(server, '/agent nobody')).toContain('no such agent')
    expect(await run(server, '/agent __proto__')).toContain('no such agent')
    expect(await run(server, '/model')).toContain(modelName)
    expect(await run(server, '/model list')).toContain('other/verse')
    expect(await run(server, '/sessions')).toMatch(/\(\d+ messages, .*\) \u2190/)
  })
})

describe('/cost', () => {
  test('adds up what the periods took', async () => {
    const price = { input: 3_000_000, output: 15_000_000 }
    const model = scriptedModel([], {
      otherwise: [say('Hi.'), finish({ usage: { input: 100, output: 20 } })],
      models: [{ name: modelName, contextTokens: 100_000, maxOutputTokens: 4_000, price }],
    })
    await using server = await open({ model })
    await chat(server, 'One')
    for (const period of ['', ' today', ' week', ' month', ' all']) {
      expect(await run(server, `/cost${period}`)).toContain('**0.0006 USD** (120 tokens)')
    }
  })
})

describe('/memory', () => {
  test('lists notes, and searches them', async () => {
    await using server = await open()
    expect(await run(server, '/memory')).toBe('There is nothing yet.')
    for (const title of ['Alpha', 'Beta']) await server.ask('POST', '/api/knowledge/notes', { body: { title } })
    expect(await run(server, '/memory')).toMatch(/Beta[\s\S]*Alpha/)
    expect(await run(server, '/memory list')).toMatch(/Beta[\s\S]*Alpha/)
    expect(await run(server, '/memory search alp')).toBe('- **Alpha** (`notes/alpha`)')
    expect(await run(server, '/memory search "*" NEAR(')).toBe('There is nothing yet.')
    expect(await run(server, `/memory search ${'x'.repeat(2_000)}`)).toContain('That did not work')
  })
})

describe('/connector and /reload', () => {
  test('add, connect anew and remove', async () => {
    await using server = await open({ connectors: mcpConnectors(), allowProcesses: true })
    expect(await run(server, '/connector')).toBe('There is nothing yet.')
    expect(await run(server, '/reload')).toBe('There is nothing yet.')
    expect(await run(server, `/connector add every node  "${everything}"`)).toContain('**every**')
    expect((await server.ask('GET', '/api/connectors')).json[0].description).toBe(`MCP: node ${everything}`)
    expect(await run(server, '/reload')).toMatch(/\*\*every\*\* \(healthy, [1-9]\d* tools\)/)
    expect(await run(server, '/connector add every node x')).toContain("Connector 'every' already exists")
    expect(await run(server, '/connector add x rm -rf /')).toContain('Invalid command')
    expect(await run(server, '/connector remove every')).toBe('There is nothing yet.')
    expect(await run(server, '/connector remove every')).toContain("Connector 'every' not found")
  })

  test('say why one is down', async () => {
    await using server = await open({ connectors: mcpConnectors(), allowProcesses: true })
    await run(server, '/connector add gone node /nowhere/at/all.js')
    expect(await run(server, '/reload')).toMatch(/\*\*gone\*\* \(failing, 0 tools\) .*ended with exit code 1/)
  })

  test('say so where there is no way to connect', async () => {
    await using server = await open()
    expect(await run(server, '/reload')).toBe('There is nothing yet.')
    expect(await run(server, '/connector add x node a')).toContain('That did not work')
  })
})

describe('/credential', () => {
  const secret = 'sk-this-is-for-nobody'

  test('stores a key for the calls of its provider, and deletes it', async () => {
    const given: unknown[] = []
    const scripted = scriptedModel([], { otherwise: say('Hi.') })
    const runtime = createRuntime({
      store: sqliteStore(':memory:'),
      agents: [assistant()],
      vault: { key: '0'.repeat(64) },
      providers: [
        {
          ...scripted,
          id: 'openai',
          withKey(apiKey) {
            given.push(apiKey)
            return { ...scripted, id: 'openai' }
          },
        },
      ],
    })
    await using server = await serve(runtime, { password })
    expect(await run(server, '/credential')).toBe('There is nothing yet.')
    expect(await run(server, `/credential store openai ${secret}`)).toBe('- **openai**')
    expect(await run(server, '/credential list')).toBe('- **openai**')
    await chat(server, { message: 'Hi', session_id: 's' })
    expect(given).toEqual([secret])
    expect(await run(server, '/credential delete openai')).toBe('There is nothing yet.')
    expect(JSON.stringify(await messagesOf(server))).not.toContain(secret)
  })

  test('is kept in no conversation, whatever is wrong with it', async () => {
    const model = scriptedModel([say('Hi.')])
    await using server = await open({ model })
    expect(await run(server, `/credential store * ${secret}`)).toContain('no such provider')
    expect(await run(server, `/CREDENTIAL  store\topenai ${secret} ${secret}`)).toContain('Usage')
    expect(await run(server, `/credentials store openai ${secret}`)).toContain('Unknown command')
    await chat(server, { message: 'Hi', session_id: 's' })
    const messages = (await messagesOf(server)) as { content: string }[]
    expect(messages[0]?.content).toBe('/credential store * ***')
    expect(messages[2]?.content).toBe('/credential store openai ***')
    expect(JSON.stringify([messages, model.calls])).not.toContain(secret)
  })
})
