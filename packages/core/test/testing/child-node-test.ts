import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineAgent, defineTool } from '@keelson/core'
import { callTool, conversation, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'

const greet = defineTool({
  name: 'greet',
  description: 'Greets',
  input: { type: 'object', properties: { name: { type: 'string' } } },
  approval: 'always',
  execute: ({ name }) => `Hello, ${name}.`,
})

const host = defineAgent({ id: 'host', instructions: 'You greet.', models: ['any/model'], tools: [greet] })

test('greets once it may', async () => {
  const model = scriptedModel([callTool('greet', { name: 'Ada' }), say('Done.')])
  await using runtime = await createTestRuntime({ agents: [host], model, deterministic: true })
  const guest = conversation(runtime, host)
  assert.equal((await guest.says('I am Ada')).status, 'waiting')
  assert.equal((await guest.approve()).reply, 'Done.')
  assert.equal(guest.called('greet', { name: 'Ada' }).output, 'Hello, Ada.')
})
