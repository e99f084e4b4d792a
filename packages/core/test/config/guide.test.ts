// What docs/configuration.md shows stands here word for word, and is run.
import {
  createRuntime,
  defineAgent,
  defineSettings,
  defineTool,
  isKeelsonError,
  readSetting,
  singleOwner,
} from '@keelson/core'
import { say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { expect, test } from 'vitest'
import { z } from 'zod'

const lookup = defineTool({
  name: 'lookup',
  description: 'Looks it up',
  input: z.object({ what: z.string() }),
  risk: 'safe',
  execute: ({ what }) => what,
})

const settings = defineSettings({
  'greeting.text': { schema: z.string().min(1), default: 'Hello' },
  port: { schema: z.number().int(), default: 8080, applies: 'restart' },
  apiToken: { schema: z.string().min(8), default: '', secret: true },
})

test('the guide holds', async () => {
  const model = scriptedModel([], { id: 'openai', otherwise: say('done') })
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [model],
    agents: [defineAgent({ id: 'clerk', instructions: 'You help.', models: ['openai/gpt-5-mini'] })],
    tools: [lookup],
    settings,
  })
  const client = runtime.as(singleOwner('code'))

  const { generation } = await client.config.change({
    patch: { agents: { clerk: { instructions: 'Answer in one sentence.' } } },
    description: 'shorter answers',
  })
  const turn = await client.run('clerk', { message: 'Hello' }).accepted
  // turn.generation === generation.number

  expect(turn.generation).toBe(generation.number)

  const { number, content } = await client.config.active()
  const agents = { ...content['agents'], clerk: { ...content['agents']?.['clerk'], maxSteps: 4 } }
  await client.config.change({ patch: { agents }, expected: number })

  const stale = client.config.change({ patch: { agents }, expected: number })
  await stale.catch((error) => {
    if (isKeelsonError(error) && error.code === 'CONFIG_CONFLICT') return // read again, and repeat
    throw error
  })

  await client.config.change({
    patch: {
      agents: {
        scout: { instructions: 'Find things out.', models: ['openai/gpt-5-mini'], tools: ['lookup'] },
        clerk: { enabled: false },
      },
      tools: { lookup: { approval: 'always' } },
    },
  })

  expect((await client.agents.list()).map(({ id }) => id)).toEqual(['scout'])

  const differences = await client.config.diff({ from: 1, to: 3 })
  const back = await client.config.rollback({ generation: 1 })
  // back.generation is a new one, with the content of 1; back.drift says how the code has changed since
  await client.config.activate({ generation: 0 }) // the code layer alone
  await client.config.pin({ generation: 1 }) // never pruned

  expect(differences.map(({ id, kind }) => `${id} ${kind}`)).toEqual(['clerk changed', 'scout added', 'lookup added'])
  expect(back).toMatchObject({ outcome: 'created', generation: { number: 4 }, drift: null })

  await client.settings.set({ values: { 'greeting.text': 'Good day', port: 9090, apiToken: 'a long secret' } })
  const greeting = await readSetting(client, settings, 'greeting.text') // string
  const waiting = await client.settings.pending() // ['port']

  expect([greeting, waiting]).toEqual(['Good day', ['port']])
  expect(await client.settings.get({ key: 'apiToken' })).toMatchObject({ value: '••••••••' })
  expect(await readSetting(client, settings, 'port')).toBe(8080)
  await runtime.stop()
})
