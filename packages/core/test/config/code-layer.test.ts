import { type AgentDefinition, createRuntime, defineTool, isKeelsonError, type Store, singleOwner } from '@keelson/core'
import { callTool, say } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { approvalOf, databaseFile } from '../durability/scene.ts'
import { answering, clerk, desk } from './scene.ts'

const lookup = (input: z.ZodObject = z.object({ what: z.string() }), more: object = {}) =>
  defineTool({ name: 'lookup', description: 'Looks it up', input, risk: 'safe', execute: () => 'found', ...more })

/** Runs something on a runtime of its own on the same file, as one deploy after the other does. */
function deploys() {
  const file = databaseFile()
  return async <Result>(
    agents: readonly AgentDefinition[],
    work: (deployed: Awaited<ReturnType<typeof desk>>) => Promise<Result>,
    options: Parameters<typeof desk>[0] = {},
  ): Promise<Result> => {
    const deployed = await desk({ ...options, agents, store: sqliteStore(file) })
    try {
      return await work(deployed)
    } finally {
      await deployed.runtime.stop()
    }
  }
}

const numbersOf = async (client: Awaited<ReturnType<typeof desk>>['client']) => {
  const { active, generations } = await client.config.list({ limit: 100 })
  return { active, made: generations.map(({ number, trigger }) => `${number} ${trigger}`) }
}

describe('a start', () => {
  test('adds a generation for code that was not seen before, and none for code that was', async () => {
    const deploy = deploys()
    const [old, fresh] = [[clerk()], [clerk({ instructions: 'You help well.' })]]
    await deploy(old, async ({ client }) => {
      await client.config.change({ patch: { agents: { clerk: { name: 'Clerk' } } } })
    })
    await deploy(old, async ({ client }) => expect(await numbersOf(client)).toEqual({ active: 1, made: ['1 change'] }))
    await deploy(fresh, async ({ client, instructions }) => {
      expect(await numbersOf(client)).toEqual({ active: 2, made: ['2 deploy', '1 change'] })
      expect(await client.agents.get({ id: 'clerk' })).toMatchObject({ name: 'Clerk' })
      expect(await instructions()).toBe('You help well.')
    })
    // An instance with the older code comes back: the pointer stays.
    await deploy(old, async ({ client }) => expect((await numbersOf(client)).active).toBe(2))
    await deploy(fresh, async ({ client }) => expect((await numbersOf(client)).made).toHaveLength(2))
  })

  test('adds none where nobody has changed anything', async () => {
    const deploy = deploys()
    await deploy([clerk()], async ({ instructions }) => void (await instructions()))
    await deploy([clerk({ name: 'New' })], async ({ client }) => {
      expect(await numbersOf(client)).toEqual({ active: 0, made: [] })
      expect(await client.config.active()).toMatchObject({ number: 0, content: {}, active: true })
    })
  })

  test('tells when the code has lost what the configuration names, and goes on with the rest', async () => {
    const deploy = deploys()
    await deploy([clerk({ tools: [lookup()] })], async ({ client }) => {
      await client.config.change({ patch: { agents: { clerk: { tools: ['lookup'], instructions: 'Look.' } } } })
    })
    await deploy([clerk()], async ({ instructions, runtime }) => {
      expect(await instructions()).toBe('Look.')
      await expect.poll(() => runtime.reported).toMatchObject([{ where: 'config', error: { code: 'CONFIG_INVALID' } }])
    })
  })
})

test('health shows the agents as they are configured, at once after a start', async () => {
  const deploy = deploys()
  await deploy([clerk()], async ({ client }) => {
    await client.config.change({ patch: { agents: { clerk: { name: 'Bo', models: ['test/two'] } } } })
  })
  await deploy([clerk()], async ({ client, runtime }) => {
    const agents = [{ id: 'clerk', name: 'Bo', models: ['test/two'] }]
    expect(await runtime.as(null).system.health()).toMatchObject({ status: 'ok', agents })
    expect(await client.system.health()).toMatchObject({ agents })
  })
})

describe('a rollback', () => {
  test('says how the code has changed since', async () => {
    const deploy = deploys()
    await deploy([clerk()], async ({ client }) => {
      await client.config.change({ patch: { agents: { clerk: { name: 'A' } } } })
      await client.config.change({ patch: { agents: { clerk: { name: 'B' } } } })
    })
    await deploy([clerk({ instructions: 'New.' }), clerk({ id: 'other' })], async ({ client }) => {
      const back = await client.config.rollback({ generation: 1, numbering: 'reuse' })
      expect(back.drift).toEqual({ definitions: ['agents/clerk', 'agents/other'] })
      expect(await client.config.change({ patch: { agents: { clerk: { name: 'C' } } } })).toMatchObject({ drift: null })
    })
  })

  test('to what is not valid any more is refused with all that is wrong, and nothing moves', async () => {
    const deploy = deploys()
    await deploy([clerk({ tools: [lookup()] })], async ({ client }) => {
      const scout = { instructions: 'x', models: ['test/one'], tools: ['lookup'] }
      await client.config.change({ patch: { agents: { clerk: { tools: ['lookup'] }, scout } } })
      await client.config.change({ patch: { agents: { clerk: null, scout: null }, surfaces: { demo: { a: 1 } } } })
    })
    await deploy([clerk()], async ({ client }) => {
      const before = await numbersOf(client)
      for (const numbering of ['reuse', 'append'] as const) {
        const error = await client.config.rollback({ generation: 1, numbering }).catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
        expect(isKeelsonError(error) && error.details?.['problems']).toEqual([
          { section: 'agents', id: 'clerk', problem: 'there is no tool "lookup"' },
          { section: 'agents', id: 'scout', problem: 'there is no tool "lookup"' },
        ])
      }
      expect(await numbersOf(client)).toEqual(before)
    })
  })
})

describe('a content that this code does not know', () => {
  const foreign = (store: Store, content: { hash: string; format: number; content: string }) =>
    store.config.add('default', {
      generation: { author: 'x', description: '', trigger: 'change', createdAt: 1, content },
      code: { hash: 'newer code', definitions: '{}' },
      empty: false,
      base: 0,
      numbering: 'append',
      activate: false,
      secrets: [],
    })

  test.each([
    ['of a newer format', { format: 2, content: '{"agents":{}}' }, 'CONFIG_TOO_NEW'],
    ['with a section of a newer version', { format: 1, content: '{"holograms":{"a":{"b":1}}}' }, 'CONFIG_TOO_NEW'],
    [
      'that is not what was stored',
      { format: 1, content: '{"agents":{"clerk":{"name":"Mallory"}}}' },
      'CONFIG_DAMAGED',
    ],
  ])('%s is refused and kept as it is', async (_, { format, content }, code) => {
    const { createHash } = await import('node:crypto')
    const hash = code === 'CONFIG_DAMAGED' ? 'another hash' : createHash('sha256').update(content).digest('hex')
    const store = sqliteStore(':memory:')
    const { client, instructions } = await desk({ store })
    await foreign(store, { hash, format, content })
    await expect(client.config.activate({ generation: 1 })).rejects.toMatchObject({ code })
    await expect(client.config.rollback({ generation: 1 })).rejects.toMatchObject({ code })
    await expect(client.config.get({ generation: 1 })).rejects.toMatchObject({ code })
    expect(await client.config.list({ limit: 5 })).toMatchObject({ active: 0, generations: [{ number: 1 }] })
    expect(await instructions()).toBe('You help.')
    expect(await store.config.content('default', 1)).toEqual({ hash, format, content })
  })

  test('and that newer code has made active lets no turn begin, and is not written over', async () => {
    const { createHash } = await import('node:crypto')
    const file = databaseFile()
    const first = await desk({ store: sqliteStore(file) })
    await first.client.config.change({ patch: { agents: { clerk: { name: 'A' } } } })
    await first.runtime.stop()
    const content = '{"holograms":{"a":{"b":1}}}'
    const store = sqliteStore(file)
    await store.open()
    const hash = createHash('sha256').update(content).digest('hex')
    await store.config.add('default', {
      generation: {
        author: 'x',
        description: '',
        trigger: 'change',
        createdAt: 1,
        content: { hash, format: 1, content },
      },
      code: { hash: 'newer code', definitions: '{}' },
      empty: false,
      base: 1,
      numbering: 'append',
      activate: true,
      secrets: [],
    })
    await store.close()
    const { client } = await desk({ store: sqliteStore(file) })
    await expect(client.run('clerk', { message: 'x' }).result).rejects.toMatchObject({ code: 'CONFIG_TOO_NEW' })
    const change = client.config.change({ patch: { agents: { clerk: { name: 'B' } } } })
    await expect(change).rejects.toMatchObject({ code: 'CONFIG_TOO_NEW' })
    const back = await client.config.activate({ generation: 1 })
    expect(back.generation.number).toBe(1)
    expect(await client.run('clerk', { message: 'x' }).outcome).toMatchObject({ status: 'completed' })
  })
})

describe('a call that waits for a person', () => {
  const asks = () =>
    answering(({ messages }) => (messages.at(-1)?.role === 'user' ? callTool('lookup', { what: 'x' }) : say('done')))

  const resumed = async (then: AgentDefinition) => {
    const deploy = deploys()
    const { turn, approval } = await deploy(
      [clerk({ tools: [lookup(undefined, { approval: 'always' })] })],
      async ({ client }) => {
        const { turn } = await client.run('clerk', { message: 'x' }).outcome
        return { turn, approval: await approvalOf(client, turn) }
      },
      { model: asks() },
    )
    return await deploy(
      [then],
      async ({ client }) => {
        await client.approvals.decide({ id: approval, decision: 'approve' })
        return await client.attach(turn).outcome
      },
      { model: asks() },
    )
  }

  test('is carried out when its tool is what it was', async () => {
    const described = lookup(undefined, { approval: 'always', description: 'Looks it up elsewhere' })
    expect(await resumed(clerk({ tools: [described] }))).toMatchObject({ status: 'completed' })
  })

  test('interrupts its turn when the schema of the tool has changed, although the arguments would fit', async () => {
    const wider = lookup(z.object({ what: z.string(), deep: z.boolean().optional() }), { approval: 'always' })
    expect(await resumed(clerk({ tools: [wider] }))).toMatchObject({
      status: 'interrupted',
      error: { message: expect.stringContaining('the schema of the tool lookup has changed') },
    })
  })

  test('interrupts its turn when the tool is gone', async () => {
    expect(await resumed(clerk())).toMatchObject({
      status: 'interrupted',
      error: { message: expect.stringContaining('the tool lookup is gone') },
    })
  })

  test('is refused, and the model told, when its own turn had gone on and the tool has changed since', async () => {
    const deploy = deploys()
    const seen: string[] = []
    const model = answering(({ messages }) => {
      const last = messages.at(-1)
      for (const part of last?.parts ?? []) if (part.type === 'tool-result') seen.push(String(part.output))
      return last?.role === 'user' ? callTool('lookup', { what: 'x' }) : say('done')
    })
    const asking = { approval: 'always' }
    const approval = await deploy(
      [clerk({ tools: [lookup(undefined, asking)] })],
      async ({ client }) => {
        const { turn } = await client.run('clerk', { message: 'x', approvals: 'defer' }).outcome
        return await approvalOf(client, turn)
      },
      { model },
    )
    const wider = lookup(z.object({ what: z.string(), deep: z.boolean().optional() }), asking)
    await deploy(
      [clerk({ tools: [wider] })],
      async ({ client }) => {
        await client.approvals.decide({ id: approval, decision: 'approve' })
        await expect.poll(() => seen.at(-1)).toContain('has changed since the call was approved')
      },
      { model },
    )
  })

  test('keeps the tool that its generation gave the agent, and the approval names it', async () => {
    const { client } = await desk({
      model: asks(),
      agents: [clerk({ tools: [lookup(undefined, { approval: 'always' })] })],
    })
    await client.config.change({ patch: { agents: { clerk: { name: 'A' } } } })
    const { turn } = await client.run('clerk', { message: 'x' }).outcome
    await client.config.change({ patch: { agents: { clerk: { tools: [] } } } })
    const [approval] = await client.approvals.list({ limit: 1, offset: 0, turn })
    expect(approval).toMatchObject({ generation: 1, toolHash: expect.stringMatching(/^[0-9a-f]{64}$/) })
    await client.approvals.decide({ id: approval?.id ?? '', decision: 'approve' })
    expect(await client.attach(turn).outcome).toMatchObject({ status: 'completed' })
    expect(await client.sessions.toolCalls({ turn })).toMatchObject([{ status: 'succeeded', output: 'found' }])
  })
})

describe('the cost', () => {
  const counted = () => {
    const asked: string[] = []
    return { asked, store: sqliteStore(':memory:', { trace: (sql) => sql.includes('config_') && asked.push(sql) }) }
  }

  test('to those who configure nothing is one read at the start, and none after it', async () => {
    const { asked, store } = counted()
    const { instructions } = await desk({ store })
    const reads = () => asked.filter((sql) => sql.startsWith('select'))
    expect(reads()).toHaveLength(1)
    for (let count = 0; count < 5; count += 1) await instructions()
    expect(reads()).toHaveLength(1)
  })

  test('of a turn is no query while nothing changes', async () => {
    const { asked, store } = counted()
    const { client, instructions } = await desk({ store })
    await client.config.change({ patch: { agents: { clerk: { instructions: 'Be brief.' } } } })
    await instructions()
    asked.length = 0
    for (let count = 0; count < 5; count += 1) expect(await instructions()).toBe('Be brief.')
    expect(asked).toEqual([])
  })

  test('of ten thousand generations: a page and a comparison read no more rows than they show', async () => {
    const { asked, store } = counted()
    const { client } = await desk({ store, keepGenerations: 20_000 })
    const code = { hash: 'c', definitions: '{}' }
    for (let number = 0; number < 10_000; number += 1) {
      const content = `{"surfaces":{"demo":{"count":${number % 100}}}}`
      const { createHash } = await import('node:crypto')
      const hash = createHash('sha256').update(content).digest('hex')
      const generation = { author: 'x', description: '', trigger: 'change', createdAt: number }
      await store.config.add('default', {
        generation: { ...generation, content: { hash, format: 1, content } },
        code,
        empty: false,
        base: number,
        numbering: 'append',
        activate: true,
        secrets: [],
      })
    }
    asked.length = 0
    const { active, generations } = await client.config.list({ limit: 50, before: 5_001 })
    expect(active).toBe(10_000)
    expect(generations.map(({ number }) => number)).toEqual(Array.from({ length: 50 }, (_, index) => 5_000 - index))
    expect(asked.filter((sql) => sql.includes('config_contents'))).toEqual([])
    expect(asked).toHaveLength(2)
    asked.length = 0
    expect(await client.config.diff({ from: 17, to: 9_942 })).toMatchObject([
      { from: { count: 16 }, to: { count: 41 } },
    ])
    expect(asked).toHaveLength(2)
    const rolled = await client.config.rollback({ generation: 4_242 })
    expect(rolled.generation).toMatchObject({ number: 10_001, parent: 10_000 })
  })
})

test('a runtime is refused two agents, tools or settings that cannot be told apart', async () => {
  const two = [clerk({ id: 'a', tools: [lookup()] }), clerk({ id: 'b', tools: [lookup()] }), clerk({ id: 'c' })]
  const runtime = createRuntime({ store: sqliteStore(':memory:'), agents: two, providers: [answering(() => say('x'))] })
  const client = runtime.as(singleOwner('code'))
  const change = client.config.change({ patch: { agents: { c: { tools: ['lookup'], models: ['scripted/x'] } } } })
  await expect(change).rejects.toMatchObject({
    details: { problems: [{ problem: expect.stringContaining('several agents') }] },
  })
  await runtime.stop()
})
