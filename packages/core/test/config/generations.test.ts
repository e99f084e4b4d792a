import { defineTool, isKeelsonError } from '@keelson/core'
import { callTool, say } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { answering, clerk, desk } from './scene.ts'

const instruct = (text: string) => ({ agents: { clerk: { instructions: text } } })

const problemsOf = (error: unknown) => (isKeelsonError(error) ? error.details?.['problems'] : error)

describe('a change', () => {
  test('is in force for the next turn, and its number is on it', async () => {
    const { client, instructions } = await desk()
    expect(await instructions()).toBe('You help.')
    const { generation, outcome } = await client.config.change({ patch: instruct('Be brief.'), description: 'shorter' })
    expect(outcome).toBe('created')
    expect(generation).toMatchObject({
      number: 1,
      parent: 0,
      author: 'owner',
      description: 'shorter',
      trigger: 'change',
    })
    expect(await instructions()).toBe('Be brief.')
    const turn = await client.run('clerk', { message: 'hello' }).accepted
    expect(turn.generation).toBe(1)
    expect(await client.agents.get({ id: 'clerk' })).toMatchObject({ instructions: 'Be brief.', models: ['test/one'] })
  })

  test('leaves a running turn on what it began with', async () => {
    const asked: string[] = []
    const gate = Promise.withResolvers<void>()
    const wait = defineTool({
      name: 'wait',
      description: 'Waits',
      input: z.object({}),
      risk: 'safe',
      execute: () => gate.promise,
    })
    const model = answering(({ instructions, messages }) => {
      asked.push(instructions)
      return messages.at(-1)?.role === 'user' ? callTool('wait') : say('done')
    })
    const { client } = await desk({ model, agents: [clerk({ tools: [wait] })] })
    const running = client.run('clerk', { message: 'one' })
    const { id, session } = await running.accepted
    await expect.poll(() => asked.length).toBe(1)
    await client.config.change({ patch: instruct('Be brief.') })
    const next = await client.run('clerk', { message: 'two' }).accepted
    gate.resolve()
    await running.result
    await client.attach(next.id).result
    expect((await client.sessions.turn({ id })).generation).toBe(0)
    expect(asked.filter((text) => text === 'You help.')).toHaveLength(2)
    expect(asked.at(-1)).toBe('Be brief.')
    expect(session).not.toBe(next.session)
  })

  test('is made by one of two who expect the same generation', async () => {
    const { client } = await desk()
    await client.config.change({ patch: instruct('one') })
    const results = await Promise.allSettled(
      ['a', 'b', 'c', 'd'].map((text) => client.config.change({ patch: instruct(text), expected: 1 })),
    )
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const result of results) {
      if (result.status === 'rejected') {
        expect(result.reason).toMatchObject({ code: 'CONFIG_CONFLICT', details: { expected: 1, active: 2 } })
      }
    }
  })

  test('without an expectation is laid over whatever others have changed meanwhile', async () => {
    const { client } = await desk()
    const ids = ['a', 'b', 'c', 'd', 'e']
    const agentOf = (id: string) => ({ agents: { [id]: { instructions: id, models: ['test/one'] } } })
    await Promise.all(ids.map((id) => client.config.change({ patch: agentOf(id) })))
    const { content, number } = await client.config.active()
    expect(number).toBe(5)
    expect(Object.keys(content['agents'] ?? {}).sort()).toEqual(ids)
  })

  test('that changes nothing makes nothing', async () => {
    const { client } = await desk()
    await client.config.change({ patch: instruct('one') })
    expect(await client.config.change({ patch: instruct('one') })).toMatchObject({ outcome: 'unchanged' })
    expect(await client.config.change({ patch: { agents: { nobody: null } } })).toMatchObject({ outcome: 'unchanged' })
    expect((await client.config.list({ limit: 10 })).generations).toHaveLength(1)
  })

  test.each([
    ['a section that nobody has', { sorcery: { spell: {} } }, 'CONFIG_SECTION_UNKNOWN'],
    ['a list as a section', { agents: [] }, 'CONFIG_PATCH_INVALID'],
    ['a text as an entry', { agents: { clerk: 'no' } }, 'CONFIG_PATCH_INVALID'],
    ['a function within an entry', { agents: { clerk: { name: () => 1 } } }, 'CONFIG_PATCH_INVALID'],
    ['what is nested without end', { agents: { clerk: endless() } }, 'CONFIG_PATCH_INVALID'],
    ['a name that every object has', JSON.parse('{"agents":{"__proto__":{}}}'), 'CONFIG_PATCH_INVALID'],
    ['nothing at all', null, 'CONFIG_PATCH_INVALID'],
    ['a model of no provider', { agents: { clerk: { models: ['no model'] } } }, 'CONFIG_INVALID'],
    ['a tool that is not registered', { agents: { clerk: { tools: ['fly'] } } }, 'CONFIG_INVALID'],
    ['a field that agents do not have', { agents: { clerk: { colour: 'red' } } }, 'CONFIG_INVALID'],
    ['a new agent without models', { agents: { boss: { instructions: 'Lead.' } } }, 'CONFIG_INVALID'],
    ['too much', { surfaces: { x: { text: 'x'.repeat(5_000_000) } } }, 'CONFIG_INVALID'],
  ])('with %s is refused, and nothing is changed', async (_, patch, code) => {
    const { client } = await desk()
    await expect(client.config.change({ patch })).rejects.toMatchObject({ code })
    expect(await client.config.list({ limit: 10 })).toEqual({ active: 0, generations: [] })
  })

  test('is told of all that is wrong with it at once, also without making it', async () => {
    const { client } = await desk()
    const patch = { agents: { clerk: { tools: ['fly', 'swim'], maxSteps: 3 }, boss: { enabled: 'yes' } } }
    const problems = [
      { section: 'agents', id: 'clerk', problem: 'there is no tool "fly"' },
      { section: 'agents', id: 'clerk', problem: 'there is no tool "swim"' },
      { section: 'agents', id: 'boss', problem: 'enabled must be true or false' },
    ]
    const error = await client.config.change({ patch }).catch((thrown: unknown) => thrown)
    expect(problemsOf(error)).toEqual(problems)
    expect(await client.config.check({ patch })).toEqual(problems)
  })

  test('is for operators of the tenant, and in force for that tenant alone', async () => {
    const { runtime, client, instructions } = await desk()
    const guest = runtime.caller('guest')
    await expect(guest.config.change({ patch: instruct('mine') })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(guest.config.list({ limit: 1 })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    const elsewhere = runtime.caller('boss', { tenant: 'elsewhere', roles: ['operator'] })
    await elsewhere.config.change({ patch: instruct('theirs') })
    expect(await instructions()).toBe('You help.')
    await expect(client.config.get({ generation: 1 })).rejects.toMatchObject({ code: 'GENERATION_NOT_FOUND' })
    expect(await elsewhere.agents.get({ id: 'clerk' })).toMatchObject({ instructions: 'theirs' })
  })
})

describe('numbers', () => {
  test('go on with each change and each rollback', async () => {
    const { client, instructions } = await desk()
    await client.config.change({ patch: instruct('one') })
    await client.config.change({ patch: instruct('two') })
    const back = await client.config.rollback({ generation: 1 })
    expect(back).toMatchObject({
      outcome: 'created',
      generation: { number: 3, parent: 2, trigger: 'rollback' },
      drift: null,
    })
    expect(await instructions()).toBe('one')
    const zero = await client.config.rollback({ generation: 0 })
    expect(zero.generation).toMatchObject({ number: 4 })
    expect(await instructions()).toBe('You help.')
  })

  test('are used again for a state that was there before, when that is asked for', async () => {
    const { client, instructions } = await desk()
    const numbering = 'reuse' as const
    await client.config.change({ patch: instruct('one'), numbering })
    await client.config.change({ patch: instruct('two'), numbering })
    const undone = await client.config.change({ patch: instruct('one'), numbering })
    expect(undone).toMatchObject({ outcome: 'reactivated', generation: { number: 1 } })
    expect(await client.config.rollback({ generation: 2, numbering })).toMatchObject({ outcome: 'reactivated' })
    expect(await instructions()).toBe('two')
    expect(await client.config.rollback({ generation: 2, numbering })).toMatchObject({ outcome: 'unchanged' })
    const { generations, active } = await client.config.list({ limit: 10 })
    expect([active, ...generations.map(({ number }) => number)]).toEqual([2, 2, 1])
    await client.config.activate({ generation: 1 })
    const fresh = await client.config.change({ patch: instruct('three'), numbering })
    expect(fresh.generation).toMatchObject({ number: 3, parent: 1 })
  })

  test('are given to what is to be activated later', async () => {
    const { client, instructions } = await desk()
    const staged = await client.config.change({ patch: { agents: { clerk: { tools: ['fly'] } } }, activate: false })
    expect(staged).toMatchObject({ outcome: 'staged', generation: { number: 1 } })
    expect(await instructions()).toBe('You help.')
    await expect(client.config.activate({ generation: 1 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect((await client.config.active()).number).toBe(0)
  })
})

test.each([-1, 1.5, Number.NaN, 2 ** 60, '1'])('there is no generation %s', async (number) => {
  const { client } = await desk()
  await client.config.change({ patch: instruct('one') })
  const generation = number as number
  const missing = { code: 'GENERATION_NOT_FOUND' }
  await expect(client.config.get({ generation })).rejects.toMatchObject(missing)
  await expect(client.config.activate({ generation })).rejects.toMatchObject(missing)
  await expect(client.config.rollback({ generation })).rejects.toMatchObject(missing)
  await expect(client.config.pin({ generation })).rejects.toMatchObject(missing)
  await expect(client.config.diff({ from: 0, to: generation })).rejects.toMatchObject(missing)
})

describe('what is stored', () => {
  test('is compared entry by entry', async () => {
    const { client } = await desk()
    await client.config.change({
      patch: { agents: { clerk: { name: 'A' }, old: { instructions: 'x', models: ['t/1'] } } },
    })
    await client.config.change({ patch: { agents: { old: null, clerk: { name: 'B' } }, surfaces: { demo: { a: 1 } } } })
    expect(await client.config.diff({ from: 1, to: 2 })).toEqual([
      { section: 'agents', id: 'clerk', kind: 'changed', from: { name: 'A' }, to: { name: 'B' } },
      { section: 'agents', id: 'old', kind: 'removed', from: { instructions: 'x', models: ['t/1'] }, to: null },
      { section: 'surfaces', id: 'demo', kind: 'added', from: null, to: { a: 1 } },
    ])
    expect(await client.config.diff({ from: 2, to: 2 })).toEqual([])
    await expect(client.config.diff({ from: 1, to: 9 })).rejects.toMatchObject({ code: 'GENERATION_NOT_FOUND' })
  })

  test('has one hash for one state, whatever the order of its keys', async () => {
    const { client } = await desk()
    const first = await client.config.change({ patch: { surfaces: { demo: { a: 1, b: { c: 2, d: 3 } } } } })
    await client.config.change({ patch: { surfaces: { demo: null } } })
    const again = await client.config.change({ patch: { surfaces: { demo: { b: { d: 3, c: 2 }, a: 1 } } } })
    expect(again.generation.number).toBe(3)
    expect(again.generation.contentHash).toBe(first.generation.contentHash)
    expect(again.generation.contentHash).toMatch(/^[0-9a-f]{64}$/)
  })

  test('is kept while it is pinned, and only so many of the rest', async () => {
    const { client } = await desk({ keepGenerations: 5, clock: atOnce() })
    await client.config.change({ patch: { surfaces: { demo: { count: 1 } } } })
    await client.config.pin({ generation: 1 })
    for (let count = 2; count <= 32; count += 1)
      await client.config.change({ patch: { surfaces: { demo: { count } } } })
    const { generations } = await client.config.list({ limit: 100 })
    expect(generations.map(({ number }) => number)).toEqual([32, 31, 30, 29, 28, 1])
    expect(await client.config.get({ generation: 1 })).toMatchObject({ pinned: true, active: false })
    expect(await client.config.unpin({ generation: 1 })).toMatchObject({ pinned: false })
    await expect(client.config.pin({ generation: 2 })).rejects.toMatchObject({ code: 'GENERATION_NOT_FOUND' })
  })
})

describe('agents by configuration', () => {
  const lookup = defineTool({
    name: 'lookup',
    description: 'Looks it up',
    input: z.object({}),
    risk: 'safe',
    execute: () => 'found',
  })

  test('are made of JSON and the tools of the code', async () => {
    const { client, instructions, model } = await desk({ tools: [lookup] })
    const scout = { instructions: 'Scout ahead.', models: ['test/two'], tools: ['lookup'], maxSteps: 2, temperature: 0 }
    await client.config.change({ patch: { agents: { scout } } })
    expect(await instructions('scout')).toBe('Scout ahead.')
    expect(model.calls.at(-1)?.request.tools.map(({ name }) => name)).toEqual(['lookup'])
    expect((await client.agents.list()).map(({ id }) => id)).toEqual(['clerk', 'scout'])
    await client.config.change({ patch: { agents: { scout: null } } })
    await expect(client.run('scout', { message: 'x' }).result).rejects.toMatchObject({ code: 'AGENT_NOT_FOUND' })
  })

  test('are switched off and on again', async () => {
    const { client, instructions } = await desk()
    await client.config.change({ patch: { agents: { clerk: { enabled: false } } } })
    await expect(client.run('clerk', { message: 'x' }).result).rejects.toMatchObject({ code: 'AGENT_DISABLED' })
    expect(await client.agents.list()).toEqual([])
    await client.config.change({ patch: { agents: { clerk: null } } })
    expect(await instructions()).toBe('You help.')
  })

  test('lose a tool that is switched off, and ask before one that is to be asked about', async () => {
    const model = answering(({ messages }) => (messages.at(-1)?.role === 'user' ? callTool('lookup') : say('done')))
    const { client } = await desk({ model, agents: [clerk({ tools: [lookup] })] })
    expect(await client.run('clerk', { message: 'x' }).outcome).toMatchObject({ status: 'completed' })
    await client.config.change({ patch: { tools: { lookup: { approval: 'always' } } } })
    expect(await client.run('clerk', { message: 'x' }).outcome).toMatchObject({ status: 'waiting' })
    await client.config.change({ patch: { tools: { lookup: { enabled: false } } } })
    const { turn } = await client.run('clerk', { message: 'x' }).outcome
    expect(await client.sessions.toolCalls({ turn })).toMatchObject([
      { status: 'failed', policy: { rule: 'unknown-tool' } },
    ])
    await expect(client.config.change({ patch: { tools: { lookup: { risk: 'wild' } } } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })
})

function endless(): object {
  const ring: { next?: object } = {}
  ring.next = ring
  return ring
}

/** A clock whose days pass between two looks, so that nothing is recent. */
function atOnce() {
  let at = 1_790_000_000_000
  return {
    now: () => {
      at += 86_400_000
      return at
    },
    after: (ms: number, run: () => void) => {
      const timer = setTimeout(run, Math.min(ms, 50))
      timer.unref()
      return () => clearTimeout(timer)
    },
  }
}
