import { defineAgent } from '@keelson/core'
import { conversation, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'

const clerk = defineAgent({
  id: 'clerk',
  instructions: 'You read what a guest wants.',
  models: ['openai/gpt-5-mini'],
  output: z.object({ room: z.enum(['attic', 'garden']), nights: z.number().int().min(1) }),
})

test('answers with a checked value', async () => {
  const model = scriptedModel([say('{"room":"attic","nights":3}')])
  await using runtime = await createTestRuntime({ agents: [clerk], model })

  const wish = await runtime.client.run(clerk, { message: 'The attic, Friday to Monday' }).output

  expect(wish.nights * 80).toBe(240)
})

test('puts a wrong answer right once', async () => {
  const model = scriptedModel([say('{"room":"cellar","nights":3}'), say('{"room":"attic","nights":3}')])
  await using runtime = await createTestRuntime({ agents: [clerk], model })

  const { output, steps } = await conversation(runtime, clerk).says('The cellar, Friday to Monday')

  expect([output, steps]).toEqual([{ room: 'attic', nights: 3 }, 2])
  expect(model.calls[1]?.request.messages.at(-1)?.parts[0]).toMatchObject({ text: expect.stringContaining('- room: ') })
})

test('fails clearly after a second one', async () => {
  const model = scriptedModel([say('The attic!'), say('{"room":"attic","nights":0}')])
  await using runtime = await createTestRuntime({ agents: [clerk], model })

  await expect(runtime.client.run(clerk, { message: 'The attic' }).output).rejects.toMatchObject({
    details: { reason: 'OUTPUT_INVALID', problems: [expect.stringContaining('nights')] },
  })
})
