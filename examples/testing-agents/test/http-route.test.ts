import { createFetchHandler } from '@keelson/core/fetch'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { callTool, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { expect, test } from 'vitest'
import { concierge } from '../src/concierge.ts'

test('answers over HTTP, in this process, from a store of its own', async () => {
  const model = scriptedModel([callTool('price', { room: 'attic' }), say('80 euros.')])
  const store = sqliteStore(':memory:')
  await using runtime = await createTestRuntime({ agents: [concierge], model, store })
  const handle = createFetchHandler(runtime, { mounts: [{ prefix: '/ai', surface: roboticus({ apiKey: 'secret' }) }] })
  const ask = (headers: Record<string, string>) =>
    handle(
      new Request('http://hotel.test/ai/api/agent/message', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ content: 'What is the attic?' }),
      }),
    )

  expect((await ask({}))?.status).toBe(401)

  const response = await ask({ 'x-api-key': 'secret' })
  expect(await response?.json()).toMatchObject({ content: '80 euros.', react_turns: 2 })
})
