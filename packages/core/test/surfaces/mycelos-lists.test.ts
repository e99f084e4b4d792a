import type { TestRuntime } from '@keelson/core/testing'
import { fail, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { chat, modelName, mycelosServer } from './mycelos-server.ts'

/** A server, and what a request to it asks of the database. */
async function tracedServer() {
  const issued: string[] = []
  const store = sqliteStore(':memory:', { trace: (sql) => issued.push(sql) })
  const server = await mycelosServer({ model: scriptedModel([], { otherwise: say('Hi.') }), store })
  const count = async (path: string): Promise<{ rows: number; statements: number }> => {
    issued.length = 0
    const { json } = await server.ask('GET', path)
    return { rows: (json.messages ?? json).length, statements: issued.length }
  }
  return { server, count, client: server.runtime.client, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

const tell = async ({ client }: TestRuntime, session: string, from: number, to: number): Promise<void> => {
  for (let index = from; index <= to; index += 1) {
    const role = index % 2 === 1 ? 'user' : 'assistant'
    await client.sessions.append({ session, role, parts: [{ type: 'text', text: `Message ${index}` }] })
  }
}

describe('the number of statements', () => {
  test('of a list of sessions is one, however many there are', async () => {
    await using scene = await tracedServer()
    expect(await scene.count('/api/sessions')).toEqual({ rows: 0, statements: 1 })
    for (let index = 0; index < 60; index += 1) await scene.client.sessions.create({ agent: 'assistant' })
    await chat(scene.server, { message: 'Hello', session_id: 's' })
    expect(await scene.count('/api/sessions')).toEqual({ rows: 61, statements: 1 })
  })

  test('of the messages of a session is two, however many there are', async () => {
    await using scene = await tracedServer()
    await chat(scene.server, { message: 'Hello', session_id: 's' })
    expect(await scene.count('/api/sessions/s/messages')).toEqual({ rows: 2, statements: 2 })
    for (let turn = 0; turn < 10; turn += 1) await chat(scene.server, { message: `Turn ${turn}`, session_id: 's' })
    await tell(scene.server.runtime, 's', 23, 300)
    expect(await scene.count('/api/sessions/s/messages')).toEqual({ rows: 300, statements: 2 })
  })

  test('of a list of notes is one, of a search too, and one more when only a part of a word is found', async () => {
    await using scene = await tracedServer()
    for (let index = 0; index < 60; index += 1) await scene.client.notes.create({ title: `Harbour ${index}` })
    expect(await scene.count('/api/knowledge/notes')).toEqual({ rows: 50, statements: 1 })
    expect(await scene.count('/api/knowledge/notes?limit=1000')).toEqual({ rows: 60, statements: 1 })
    expect(await scene.count('/api/knowledge/notes?query=harbour')).toEqual({ rows: 50, statements: 1 })
    expect(await scene.count('/api/knowledge/notes?query=arbour')).toEqual({ rows: 50, statements: 2 })
  })
})

describe('a session of more messages than are read at once', () => {
  test('shows all of them, the newest last', async () => {
    await using server = await mycelosServer({ model: scriptedModel([], { otherwise: say('Hi.') }) })
    await chat(server, { message: 'Message 1', session_id: 's' })
    await tell(server.runtime, 's', 3, 10_101)
    await chat(server, { message: 'The last word', session_id: 's' })
    const { status, headers, json } = await server.ask('GET', '/api/sessions/s/messages')
    expect([status, headers['content-type']]).toEqual([200, 'application/json'])
    const said = json.messages.map(({ content }: { content: string }) => content)
    const told = Array.from({ length: 10_099 }, (_, index) => `Message ${index + 3}`)
    expect(said).toEqual(['Message 1', 'Hi.', ...told, 'The last word', 'Hi.'])
    const metadata = { tokens: expect.any(Number), model: modelName }
    expect([json.session_id, json.messages[1].metadata, json.messages.at(-1).metadata]).toEqual([
      's',
      metadata,
      metadata,
    ])
  })

  test('ends with a piece that says nothing', async () => {
    await using server = await mycelosServer({ model: scriptedModel([], { otherwise: fail('auth') }) })
    await chat(server, { message: 'Message 1', session_id: 's' })
    await tell(server.runtime, 's', 2, 1_000)
    expect((await server.ask('GET', '/api/sessions/s/messages')).json.messages).toHaveLength(1_000)
    const { client } = server.runtime
    for (let index = 0; index < 1_001; index += 1) {
      await client.sessions.append({ session: 's', role: 'system', parts: [{ type: 'text', text: 'Not said.' }] })
    }
    expect((await server.ask('GET', '/api/sessions/s/messages')).json.messages).toHaveLength(1_000)
    await tell(server.runtime, 's', 1_001, 1_001)
    expect((await server.ask('GET', '/api/sessions/s/messages')).json.messages).toHaveLength(1_001)
  })
})
