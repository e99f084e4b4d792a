import { defineTool } from '@keelson/core'
import { callTool, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { assistant, chat, dataOf, mycelosServer, namesOf, rowTime, type TestServer } from './mycelos-server.ts'

const sendMail = (sent: string[]) =>
  defineTool({
    name: 'send_mail',
    description: 'Sends a mail',
    input: z.object({ to: z.string() }),
    approval: 'always',
    execute: ({ to }) => sent.push(to),
  })

/** Two agents that may mail, and a model that does so whenever it is asked to. */
async function open(language = 'en') {
  const sent: string[] = []
  const mail = callTool('send_mail', { to: 'a`da@example.com' })
  const model = scriptedModel(Array.from({ length: 4 }, () => [[mail], say('Done.')]).flat())
  const tools = [sendMail(sent)]
  const server = await mycelosServer({
    model,
    agents: [assistant({ tools }), assistant({ id: 'poet', name: 'The poet', tools })],
    surface: { user: { name: 'Ada', language } },
  })
  return { server, sent }
}

const ask = (server: TestServer, session: string, agent?: string) =>
  chat(server, { message: 'Mail Ada', session_id: session, ...(agent && { target_agent_id: agent }) })
const answer = (server: TestServer, session: string, message: string) => chat(server, { message, session_id: session })
const policies = async (server: TestServer) => (await server.ask('GET', '/api/config')).json.policies

describe('a question of permission', () => {
  test('is a text for every client, and a block for those that draw one', async () => {
    const { server } = await open()
    await using _ = server
    const events = await ask(server, 's')
    expect(namesOf(events).slice(-3)).toEqual(['system-response', 'widget', 'done'])
    expect(dataOf(events, 'system-response').content.split('\n')).toEqual([
      '**Permission required**',
      '',
      '[The assistant] `send_mail`',
      '`{"to":"a´da@example.com"}`',
      '_this tool always asks first_',
      '',
      '1. Allow this once',
      '2. Always allow it for The assistant',
      '3. Always allow it for every agent',
      '4. Deny',
      '5. Never allow it for The assistant',
      '',
      'Answer with a number, or with yes, always, no or never.',
    ])
    const [approval] = await server.runtime.client.approvals.list({ status: 'pending', limit: 9, offset: 0 })
    expect(dataOf(events, 'widget').widget).toEqual({
      type: 'permission_prompt',
      tool: 'send_mail',
      action: 'execute',
      reason: 'this tool always asks first',
      target: '{"to":"a`da@example.com"}',
      agent: 'assistant',
      permission_id: approval?.id,
      arguments: '{"to":"a`da@example.com"}',
      options: [
        { id: '1', label: 'Allow this once' },
        { id: '2', label: 'Always allow it for The assistant' },
        { id: '3', label: 'Always allow it for every agent' },
        { id: '4', label: 'Deny' },
        { id: '5', label: 'Never allow it for The assistant' },
      ],
      expires_at: rowTime,
    })
  })

  test('is asked in the language of the user', async () => {
    const { server } = await open('de')
    await using _ = server
    expect(dataOf(await ask(server, 's'), 'system-response').content).toContain('5. The assistant nie erlauben')
  })

  test.each(['1', 'yes'])('answered with %j is asked again the next time', async (message) => {
    const { server, sent } = await open()
    await using _ = server
    await ask(server, 's')
    await answer(server, 's', message)
    expect(sent).toHaveLength(1)
    expect(namesOf(await ask(server, 's'))).toContain('widget')
    expect(await policies(server)).toEqual({})
  })

  test.each(['2', 'always', 'A', 'immer', 'always allow'])('answered with %j is not asked again', async (message) => {
    const { server, sent } = await open()
    await using _ = server
    await ask(server, 's')
    expect(dataOf(await answer(server, 's', message), 'text').content).toBe('Done.')
    expect(await policies(server)).toEqual({ 'default:assistant:send_mail': 'always' })
    expect(namesOf(await ask(server, 's'))).not.toContain('widget')
    expect(sent).toHaveLength(2)
    expect(namesOf(await ask(server, 'other', 'poet'))).toContain('widget')
  })

  test('is answered for every agent at once', async () => {
    const { server, sent } = await open()
    await using _ = server
    await ask(server, 's')
    await answer(server, 's', '3')
    const always = { 'default:assistant:send_mail': 'always', 'default:poet:send_mail': 'always' }
    expect(await policies(server)).toEqual(always)
    expect(namesOf(await ask(server, 'other', 'poet'))).not.toContain('widget')
    expect(sent).toHaveLength(2)
  })

  test.each(['5', 'never', 'nie', 'never allow it', 'always deny'])(
    'answered with %j is refused from then on',
    async (message) => {
      const { server, sent } = await open()
      await using _ = server
      await ask(server, 's')
      await answer(server, 's', message)
      expect(await policies(server)).toEqual({ 'default:assistant:send_mail': 'never' })
      expect(namesOf(await ask(server, 's'))).not.toContain('widget')
      expect(sent).toEqual([])
    },
  )

  test.each(['4', 'no', 'never mind', 'always never', '6', '0', 'a b'])(
    'answered with %j changes nothing for later',
    async (message) => {
      const { server, sent } = await open()
      await using _ = server
      await ask(server, 's')
      await answer(server, 's', message)
      expect(sent).toEqual([])
      expect(await policies(server)).toEqual({})
    },
  )

  test('answered for good is a generation, and a rollback asks again', async () => {
    const { server } = await open()
    await using _ = server
    await ask(server, 's')
    await answer(server, 's', '2')
    expect((await server.ask('GET', '/api/config/generations')).json.generations).toMatchObject([
      { id: 2, trigger: 'policy_set', description: 'allow send_mail for assistant' },
      { id: 1 },
    ])
    await server.ask('POST', '/api/config/rollback', { body: { generation: 1 } })
    expect(namesOf(await ask(server, 's'))).toContain('widget')
  })

  test('that is not open leaves "always" a message like any other', async () => {
    const { server } = await open()
    await using _ = server
    expect(namesOf(await answer(server, 's', 'always'))).toContain('widget')
    expect(await policies(server)).toEqual({})
  })
})
