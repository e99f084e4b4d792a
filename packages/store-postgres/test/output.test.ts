import { defineAgent } from '@keelson/core'
import { createTestRuntime, hang, say, scriptedModel } from '@keelson/core/testing'
import { postgresStore } from '@keelson/store-postgres'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { newSchema } from './postgres-server.ts'
import { newPool, usePostgres } from './scene.ts'

const server = usePostgres()

const clerk = defineAgent({
  id: 'clerk',
  instructions: 'You read invoices.',
  models: ['test/one'],
  output: z.object({ total: z.number() }),
})

test('the output of a turn that is put right on one instance is read on another', async () => {
  const schema = newSchema()
  const pool = newPool(server().url)
  onTestFinished(() => pool.end())
  const start = (model = scriptedModel([hang()])) =>
    createTestRuntime({ agents: [clerk], model, store: postgresStore({ pool, schema }) })
  const model = scriptedModel([say('It is 12.50.'), say('{"total":12.5}'), say('no'), say('{"total":"12.50"}')])
  await using one = await start(model)
  await using two = await start()

  const { id } = await one.client.run(clerk, { message: 'Invoice A-1' }).accepted
  expect(await two.client.attach(id, clerk).output).toEqual({ total: 12.5 })

  const { id: failed } = await one.client.run(clerk, { message: 'Invoice A-2' }).accepted
  await expect(two.client.attach(failed, clerk).output).rejects.toMatchObject({
    code: 'TURN_FAILED',
    details: { reason: 'OUTPUT_INVALID', problems: [expect.stringContaining('total')] },
  })
  expect(await two.client.sessions.turn({ id: failed })).toMatchObject({
    error: { code: 'OUTPUT_INVALID', problems: [expect.stringContaining('total')] },
  })
})
