import { defineAgent, defineTool } from '@keelson/core'
import { callTool, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { beforeEach, expect, test } from 'vitest'
import { z } from 'zod'

const cancelled: string[] = []
const shop = {
  cancel: async (order: string, by: { customer: string; key: string }) => {
    cancelled.push(`${order} for ${by.customer}`)
    return { order, state: 'cancelled' }
  },
}

const cancelOrder = defineTool({
  name: 'cancel_order',
  description: 'Cancels an order',
  input: z.object({ order: z.string(), euros: z.number() }),
  risk: 'caution',
  approval: ({ euros }) => (euros > 100 ? 'always' : 'never'),
  execute: ({ order }, { subject, idempotencyKey }) => shop.cancel(order, { customer: subject, key: idempotencyKey }),
})

const support = defineAgent({
  id: 'support',
  instructions: 'You help customers.',
  models: ['openai/gpt-5-mini'],
  tools: [cancelOrder],
})

beforeEach(() => {
  cancelled.length = 0
})

test('a call waits for an operator, and runs once it is approved', async () => {
  const model = scriptedModel([callTool('cancel_order', { order: 'A-1', euros: 120 }), say('It is cancelled.')])
  await using runtime = await createTestRuntime({ agents: [support], model })
  const operator = runtime.client

  const customer = runtime.as({ subject: 'ada' })
  const { turn, status, approvals } = await customer.run(support, { message: 'Cancel A-1' }).result
  // status === 'waiting'; approvals: [{ id, tool: 'cancel_order', arguments: '{"order":"A-1","euros":120}' }]

  expect(status).toBe('waiting')
  expect(approvals).toMatchObject([{ tool: 'cancel_order', arguments: '{"order":"A-1","euros":120}' }])
  expect(cancelled).toEqual([])

  const [asked] = await operator.approvals.list({ status: 'pending' })
  if (asked) await operator.approvals.decide({ id: asked.id, decision: 'approve' })

  const { text } = await customer.attach(turn).result

  expect(text).toBe('It is cancelled.')
  expect(cancelled).toEqual(['A-1 for ada'])
})
