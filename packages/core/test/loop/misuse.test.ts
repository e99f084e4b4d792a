import { createRuntime, defineAgent, defineTool, type Principal } from '@keelson/core'
import { callTool, createTestRuntime, fail, respond, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'

const ran: string[] = []

const note = defineTool({
  name: 'note',
  description: 'Keeps a note',
  input: z.object({ text: z.string() }),
  approval: 'always',
  execute: ({ text }) => {
    ran.push(text)
    return 'kept'
  },
})

const keeper = defineAgent({
  id: 'keeper',
  instructions: 'You keep notes.',
  models: ['openai/gpt-5-mini'],
  tools: [note],
})

beforeEach(() => {
  ran.length = 0
})

/** A turn in `defer` mode that has asked for an approval. */
async function asked() {
  const model = scriptedModel([callTool('note', { text: 'milk' }), say('asked'), respond(() => say('kept'))])
  const runtime = await createTestRuntime({ agents: [keeper], model })
  const session = await runtime.client.sessions.create({ agent: 'keeper', scope: 'main' })
  await runtime.client.run('keeper', { session: session.id, message: 'Note: milk', approvals: 'defer' }).result
  const [approval] = await runtime.client.approvals.list({ status: 'pending', limit: 10, offset: 0 })
  return { runtime, session, approval: approval?.id ?? '' }
}

describe('an approved call', () => {
  test('is carried out although its session was archived meanwhile', async () => {
    const { runtime, approval } = await asked()
    await using _ = runtime
    await runtime.client.sessions.create({ agent: 'keeper', scope: 'main' })
    await runtime.client.approvals.decide({ id: approval, decision: 'approve' })
    await vi.waitFor(() => expect(ran).toEqual(['milk']))
    expect(runtime.reported).toEqual([])
  })

  test('is carried out although a caller has used its name as an idempotency key', async () => {
    const { runtime, session, approval } = await asked()
    await using _ = runtime
    await runtime.client.run('keeper', {
      session: session.id,
      message: 'hello',
      idempotencyKey: `approval:${approval}`,
    }).result
    await runtime.client.approvals.decide({ id: approval, decision: 'approve' })
    await vi.waitFor(() => expect(ran).toEqual(['milk']))
  })

  test('is not carried out because a message carries it', async () => {
    const { runtime, session, approval } = await asked()
    await using _ = runtime
    const call = { type: 'tool-call', call: 'c', tool: 'note', arguments: '{"text":"milk"}' } as const
    const options = { session: session.id, message: [{ type: 'text', text: 'go' } as const, call], continues: approval }
    await expect(runtime.client.run('keeper', options).accepted).rejects.toMatchObject({ code: 'MESSAGE_INVALID' })
    expect(ran).toEqual([])
  })
})

describe('a principal that a host made wrong', () => {
  const good: Principal = { tenant: 't', subject: 's', roles: [], via: 'x', ambient: false }
  test.each<[string, object]>([
    ['has no subject', { ...good, subject: null }],
    ['has an empty tenant', { ...good, tenant: '' }],
    ['has its roles in a text', { ...good, roles: 'non-operator' }],
    ['has a tenant that is undefined', { subject: 's', tenant: undefined }],
    ['is empty', {}],
  ])('reaches nothing when it %s', async (_, principal) => {
    await using runtime = await createTestRuntime({ agents: [keeper], model: scriptedModel([]) })
    expect(() => runtime.as(principal as Principal)).toThrow(expect.objectContaining({ code: 'PRINCIPAL_INVALID' }))
  })
})

describe('a result that nobody awaits yet', () => {
  const unhandled = vi.fn()
  beforeEach(() => {
    unhandled.mockClear()
    process.on('unhandledRejection', unhandled)
  })
  afterEach(() => {
    process.off('unhandledRejection', unhandled)
  })

  test.each<[string, string | undefined]>([
    ['the turn is not accepted', 'no-such-session'],
    ['the turn fails', undefined],
  ])('does not end the process when %s', async (_, session) => {
    await using runtime = await createTestRuntime({ agents: [keeper], model: scriptedModel([fail('auth')]) })
    const handle = runtime.client.run('keeper', { message: 'Hi', ...(session === undefined ? {} : { session }) })
    const late = [handle.result, handle.outcome]
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(unhandled).not.toHaveBeenCalled()
    await expect(late[0]).rejects.toThrow()
    await Promise.allSettled(late)
  })
})

describe('options that will not do', () => {
  test.each<[string, object]>([
    ['attempts', { attempts: 0 }],
    ['parallelCalls', { parallelCalls: 0 }],
    ['firstTokenMs', { firstTokenMs: Number.NaN }],
    ['stepMs', { stepMs: 1e12 }],
    ['speed', { speed: 1 }],
  ])('are refused by the name of the limit %s', (name, limits) => {
    const options = { store: sqliteStore(':memory:'), providers: [], agents: [], limits }
    expect(() => createRuntime(options)).toThrow(expect.objectContaining({ message: expect.stringContaining(name) }))
  })

  test('undefined limits are the defaults', async () => {
    const limits = { attempts: undefined } as object
    await using runtime = await createTestRuntime({ agents: [keeper], model: scriptedModel([say('Hi')]), limits })
    expect((await runtime.client.run('keeper', { message: 'Hi' }).result).text).toBe('Hi')
  })

  test('a mistyped approval does not open the tool', () => {
    const definition = { name: 't', description: 'd', input: z.object({}), approval: 'alway', execute: () => null }
    expect(() => defineTool(definition as unknown as typeof note & Parameters<typeof defineTool>[0])).toThrow(
      /approval/,
    )
  })

  test('one store in two runtimes is refused to the second', async () => {
    const store = sqliteStore(':memory:')
    await using first = await createTestRuntime({ agents: [keeper], model: scriptedModel([say('Hi')]), store })
    await expect(createTestRuntime({ agents: [keeper], model: scriptedModel([]), store })).rejects.toMatchObject({
      code: 'STORE_IN_USE',
    })
    expect((await first.client.run('keeper', { message: 'Hi' }).result).text).toBe('Hi')
  })
})
