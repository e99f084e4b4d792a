import { type AgentDefinition, defineAgent, defineTool } from '@keelson/core'
import { callTool, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'

const ran: string[] = []

const tool = (name: string, approval?: 'always' | 'never') =>
  defineTool({
    name,
    description: 'Does it',
    input: z.object({}),
    risk: 'safe',
    ...(approval && { approval }),
    execute: () => ran.push(name),
  })

const tools = [tool('mail', 'always'), tool('look'), tool('sign', 'always')]

async function clerk(permissions?: AgentDefinition['permissions']) {
  ran.length = 0
  const model = scriptedModel([tools.map(({ name }) => callTool(name, {})), say('Done.')])
  const definition = {
    id: 'clerk',
    instructions: 'You help.',
    models: ['test/one'],
    tools,
    permissions: permissions ?? {},
  }
  const runtime = await createTestRuntime({ agents: [defineAgent(definition)], model })
  const run = async () => await runtime.client.run('clerk', { message: 'Do all three', approvals: 'suspend' }).outcome
  return { runtime, run, model, [Symbol.asyncDispose]: () => runtime.stop() }
}

const asked = async (desk: Awaited<ReturnType<typeof clerk>>) => (await desk.run()).approvals.map((each) => each.tool)

describe('the permissions of an agent', () => {
  test('are none by default: each tool has what it wants', async () => {
    await using desk = await clerk()
    expect(await asked(desk)).toEqual(['mail', 'sign'])
  })

  test('allow what the tool would ask for, and ask for what it would not', async () => {
    await using desk = await clerk({ mail: 'allow', look: 'ask' })
    expect(await asked(desk)).toEqual(['look', 'sign'])
    expect(ran).toEqual(['mail'])
  })

  test('deny a tool: the model is told, and the turn goes on', async () => {
    await using desk = await clerk({ mail: 'deny', sign: 'allow' })
    expect(await desk.run()).toMatchObject({ status: 'completed', text: 'Done.', approvals: [] })
    expect(ran.toSorted()).toEqual(['look', 'sign'])
    expect(JSON.stringify(desk.model.calls[1]?.request.messages.at(-1))).toContain('refused: this agent may not use it')
  })

  test('are laid over those of the code, tool by tool, by the configuration', async () => {
    await using desk = await clerk({ mail: 'deny', sign: 'allow' })
    await desk.runtime.client.config.change({ patch: { agents: { clerk: { permissions: { mail: 'allow' } } } } })
    expect((await desk.runtime.client.agents.get({ id: 'clerk' })).permissions).toEqual({
      mail: 'allow',
      sign: 'allow',
    })
    expect(await asked(desk)).toEqual([])
    expect(ran.toSorted()).toEqual(['look', 'mail', 'sign'])
  })

  test.each([['allow'], { mail: 'yes' }, { mail: null }, { 'no tool': 'allow' }, 'allow', null])(
    'are not %j',
    async (permissions) => {
      const definition = { id: 'clerk', instructions: '', models: ['test/one'] }
      const wrong = permissions as unknown as Record<string, 'allow'>
      expect(() => defineAgent({ ...definition, permissions: wrong })).toThrow(/permissions/)
      await using desk = await clerk()
      const patch = { agents: { clerk: { permissions: wrong } } }
      await expect(desk.runtime.client.config.change({ patch })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    },
  )
})
