import { openaiCompatible } from '@keelson/core/providers/openai-compatible'
import { conversation, createTestRuntime, recordModel } from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { concierge } from '../src/concierge.ts'

const provider = openaiCompatible({ baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY })

// KEELSON_RECORD=1 asks the provider and writes the cassette; without it nothing leaves this machine.
test('answers as the real model once did', async () => {
  const model = recordModel(provider, { cassette: new URL('price.cassette.json', import.meta.url) })
  await using runtime = await createTestRuntime({ agents: [concierge], model })
  const guest = conversation(runtime, concierge)

  const { reply, usage } = await guest.says('What is the garden room for one night?')

  expect(guest.called('price', { room: 'garden' }).output).toMatchObject({ euros: 120 })
  expect(reply).toContain('120')
  expect(usage.input).toBeGreaterThan(0)
  model.assertComplete()
})
