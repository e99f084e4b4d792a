import { connectorErrors, defineAgent } from '@keelson/core'
import { callTool, say } from '@keelson/core/testing'
import { describe, expect, it } from 'vitest'
import { isAlive, newJournal, openScene, program, until } from './scene.ts'

const code = (error: string) => expect.objectContaining({ code: error })
/** The error that a turn of the agent is stored with. */
async function failureOf({ client }: Awaited<ReturnType<typeof openScene>>) {
  const turn = client.run('clerk', { message: 'go' })
  await turn.result.catch(() => {})
  const { error, status } = await client.sessions.turn({ id: (await turn.accepted).id })
  return { status, error }
}
const resultsOf = async ({ client }: Awaited<ReturnType<typeof openScene>>, turn: string) =>
  (await client.sessions.toolCalls({ turn })).map(({ tool, status, output }) => ({ tool, status, output }))

describe('the tools of a program', () => {
  it('are offered by name, called with checked arguments, and their failures told to the model', async () => {
    const scene = await openScene({
      definitions: [program()],
      model: [
        [callTool('test__echo', { text: 'ahoy' }), callTool('test__echo', { text: 7 }), callTool('test__fail')],
        say('done'),
      ],
    })
    const turn = scene.client.run('clerk', { message: 'go' })
    expect((await turn.result).status).toBe('completed')
    expect(await resultsOf(scene, (await turn.accepted).id)).toEqual([
      { tool: 'test__echo', status: 'succeeded', output: 'ahoy' },
      { tool: 'test__echo', status: 'failed', output: expect.stringContaining('text: must be string') },
      { tool: 'test__fail', status: 'failed', output: 'the tool failed: it did not work' },
    ])
    const offered = scene.scripted.calls[0]?.request.tools.map(({ name }) => name)
    expect(offered).toEqual([
      'test__breed',
      'test__die',
      'test__echo',
      'test__environment',
      'test__fail',
      expect.stringMatching(/^test__files_read_me__[0-9a-f]{8}$/),
      'test__grow',
      'test__slow',
    ])
  })

  it('are the same objects in every turn, until the server says that they have changed', async () => {
    const scene = await openScene({
      definitions: [program()],
      model: [say('one'), say('two'), callTool('test__grow'), say('three'), say('four')],
    })
    const run = async () => (await scene.client.run('clerk', { message: 'go' }).result).status
    expect([await run(), await run()]).toEqual(['completed', 'completed'])
    const [first, second] = scene.scripted.calls.map(({ request }) => JSON.stringify(request.tools))
    expect(second).toBe(first)
    await run()
    await until(async () => (await scene.client.connectors.tools({ name: 'test' })).length === 9)
    await run()
    const last = scene.scripted.calls.at(-1)?.request.tools.map(({ name }) => name)
    expect(last).toHaveLength(9)
    expect(last).toEqual(last?.toSorted())
  })

  it('belong to the agents that ask for them', async () => {
    const scene = await openScene({
      definitions: [program(), program('plain', { name: 'other' })],
      model: [say('a'), say('b'), say('c')],
      runtime: {
        agents: [
          defineAgent({ id: 'none', instructions: 'x', models: ['test/one'] }),
          defineAgent({ id: 'one', instructions: 'x', models: ['test/one'], connectors: ['other'] }),
          defineAgent({ id: 'all', instructions: 'x', models: ['test/one'], connectors: '*' }),
        ],
      },
    })
    for (const agent of ['none', 'one', 'all']) await scene.client.run(agent, { message: 'go' }).result
    const counts = scene.scripted.calls.map(({ request }) => request.tools.length)
    expect(counts).toEqual([0, 8, 16])
    expect(scene.scripted.calls[1]?.request.tools.every(({ name }) => name.startsWith('other__'))).toBe(true)
  })

  it('stand under policy and approval: what a server claims makes none harmless', async () => {
    const scene = await openScene({ definitions: [program('plain', { risks: { fail: 'forbidden' } })] })
    const risks = Object.fromEntries(
      (await scene.client.connectors.tools({})).map((tool) => [tool.remoteName, tool.risk]),
    )
    expect(risks).toMatchObject({ echo: 'caution', grow: 'caution', slow: 'dangerous', fail: 'forbidden' })
    const trusting = await openScene({ definitions: [program('plain', { trustAnnotations: true })] })
    const trusted = await trusting.client.connectors.tools({ name: 'test' })
    expect(trusted.find(({ remoteName }) => remoteName === 'echo')?.risk).toBe('safe')

    scene.scripted.push(
      [callTool('test__slow'), callTool('test__fail')],
      say('asked'),
      callTool('test__echo', { text: 'x' }),
      say('y'),
    )
    const turn = scene.client.run('clerk', { message: 'go', authority: 'peer', approvals: 'defer' })
    await turn.result
    expect(await resultsOf(scene, (await turn.accepted).id)).toEqual([
      { tool: 'test__slow', status: 'waiting', output: null },
      { tool: 'test__fail', status: 'denied', output: expect.stringContaining('never runs') },
    ])
  })

  it('are called after a person has approved', async () => {
    const scene = await openScene({
      definitions: [program()],
      model: [callTool('test__echo', { text: 'approved' }), say('done')],
    })
    const turn = scene.client.run('clerk', { message: 'go', authority: 'external' })
    const { id } = await turn.accepted
    const approval = await until(async () => (await scene.client.approvals.list({ limit: 1, offset: 0, turn: id }))[0])
    await scene.client.approvals.decide({ id: approval.id, decision: 'approve' })
    await until(async () => (await scene.client.sessions.turn({ id })).status === 'completed')
    expect(await resultsOf(scene, id)).toMatchObject([{ status: 'succeeded', output: 'approved' }])
  })
})

describe('a program', () => {
  it('sees PATH, HOME and its own secrets, and none of them is told to the model', async () => {
    process.env['KEELSON_TEST_UNRELATED'] = 'not for connectors'
    const scene = await openScene({
      definitions: [program('plain', { transport: { ...program().transport, env: ['TOKEN'] } as never })],
      model: [callTool('test__environment'), say('done')],
    })
    await scene.client.vault.put({ name: 'connector/test', value: '{"TOKEN":"s3cr3t-value","OTHER":"not-its-own"}' })
    const turn = scene.client.run('clerk', { message: 'go' })
    await turn.result
    const [call] = await resultsOf(scene, (await turn.accepted).id)
    const seen = JSON.parse(String(call?.output))
    expect(
      Object.keys(seen)
        .filter((name) => !/^(__CF|LC_)/.test(name))
        .toSorted(),
    ).toEqual(['HOME', 'PATH', 'TOKEN'])
    expect(seen.TOKEN).toBe('[secret]')
    delete process.env['KEELSON_TEST_UNRELATED']
  })

  it('that lacks a secret says which', async () => {
    const transport = { ...program().transport, env: ['TOKEN'] } as never
    const scene = await openScene({ definitions: [program('plain', { transport })] })
    await expect(scene.client.connectors.start({ name: 'test' })).rejects.toThrow(
      expect.objectContaining({ code: 'CONNECTOR_SECRET_MISSING', message: expect.stringContaining('TOKEN') }),
    )
  })

  it('is not started without allowProcesses', async () => {
    const journal = newJournal()
    const scene = await openScene({
      definitions: [program('plain', {}, journal.file)],
      agent: { connectors: ['test'] },
      runtime: { allowProcesses: false },
    })
    await expect(scene.client.connectors.start({ name: 'test' })).rejects.toThrow(code('CONNECTOR_PROCESSES_OFF'))
    expect(await failureOf(scene)).toMatchObject({ status: 'failed', error: { code: 'CONNECTOR_PROCESSES_OFF' } })
    expect(journal.lines()).toEqual([])
  })

  it('that cannot start is an error that says why, never an empty list', async () => {
    const missing = program('plain', { transport: { type: 'stdio', command: 'no-such-program', args: [], env: [] } })
    const scene = await openScene({ definitions: [missing], agent: { connectors: ['test'] } })
    const why = expect.objectContaining({
      code: 'CONNECTOR_FAILED',
      message: expect.stringContaining('"no-such-program" was not found'),
    })
    await expect(scene.client.connectors.start({ name: 'test' })).rejects.toThrow(why)
    await expect(scene.client.connectors.tools({})).rejects.toThrow(why)
    await expect(scene.client.connectors.test({ name: 'test' })).rejects.toThrow(why)
    expect(await failureOf(scene)).toMatchObject({
      status: 'failed',
      error: { code: 'CONNECTOR_FAILED', message: expect.stringContaining('was not found') },
    })
    expect(scene.scripted.calls).toEqual([])
    expect(await scene.client.connectors.list()).toMatchObject([
      {
        status: 'failed',
        toolCount: 0,
        operationalState: 'failing',
        lastError: expect.stringContaining('was not found'),
      },
    ])
  })

  it('that ends at once is told with what it wrote, without its secrets', async () => {
    const transport = { ...program('dies').transport, env: ['TOKEN'] } as never
    const scene = await openScene({ definitions: [program('dies', { transport })] })
    await scene.client.vault.put({ name: 'connector/test', value: '{"TOKEN":"s3cr3t-value"}' })
    const refusal = await scene.client.connectors.start({ name: 'test' }).catch((error) => error)
    expect(refusal).toMatchObject({
      code: 'CONNECTOR_FAILED',
      message: expect.stringContaining('ended with exit code 3'),
      details: { output: 'cannot log in with [secret]' },
    })
    const [listed] = await scene.client.connectors.list()
    expect(listed?.lastError).toContain('cannot log in with [secret]')
    expect(JSON.stringify([listed, scene.reported])).not.toContain('s3cr3t')
  })

  it('that never answers is given up, and its process goes', async () => {
    const journal = newJournal()
    for (const behaviour of ['silent', 'listless']) {
      const scene = await openScene({
        definitions: [program(behaviour, {}, journal.file)],
        limits: { startMs: 1_500, attempts: 1 },
      })
      await expect(scene.client.connectors.start({ name: 'test' })).rejects.toThrow(
        expect.objectContaining({ message: expect.stringContaining('no answer within 1500 ms') }),
      )
      await until(() => journal.lines().length > 0)
      const pid = Number(
        journal
          .lines()
          .findLast((line) => line.startsWith('started'))
          ?.split(' ')[1],
      )
      await until(() => !isAlive(pid))
    }
  })

  it.each(['floods', 'babbles'])('that %s what nobody asked for works all the same', async (behaviour) => {
    const scene = await openScene({
      definitions: [program(behaviour)],
      model: [callTool('test__echo', { text: 'still here' }), say('done')],
    })
    const turn = scene.client.run('clerk', { message: 'go' })
    await turn.result
    expect(await resultsOf(scene, (await turn.accepted).id)).toMatchObject([
      { status: 'succeeded', output: 'still here' },
    ])
  })

  it('that ends in mid-call fails the call with why, and is started again', async () => {
    const journal = newJournal()
    const scene = await openScene({
      definitions: [program('plain', {}, journal.file)],
      model: [callTool('test__die'), say('it died'), callTool('test__echo', { text: 'back' }), say('done')],
    })
    const first = scene.client.run('clerk', { message: 'go' })
    await first.result
    expect(await resultsOf(scene, (await first.accepted).id)).toMatchObject([
      { status: 'failed', output: expect.stringContaining('ended with exit code 7') },
    ])
    await until(async () => (await scene.client.connectors.get({ name: 'test' })).status === 'connected')
    const second = scene.client.run('clerk', { message: 'again' })
    await second.result
    expect(await resultsOf(scene, (await second.accepted).id)).toMatchObject([{ status: 'succeeded', output: 'back' }])
    expect(journal.lines().filter((line) => line.startsWith('started'))).toHaveLength(2)
  })

  it('is told when a call is given up', async () => {
    const journal = newJournal()
    const scene = await openScene({
      definitions: [program('plain', {}, journal.file)],
      model: [callTool('test__slow'), say('never')],
    })
    const turn = scene.client.run('clerk', { message: 'go' })
    await until(() => journal.lines().includes('called slow'))
    await scene.client.turns.cancel({ id: (await turn.accepted).id })
    await expect(turn.result).rejects.toThrow(code('TURN_CANCELLED'))
    await until(() => journal.lines().includes('notifications/cancelled'))
  })

  it('whose call takes too long fails that call alone', async () => {
    const scene = await openScene({
      definitions: [program()],
      limits: { callMs: 300 },
      model: [callTool('test__slow'), callTool('test__echo', { text: 'on' }), say('done')],
    })
    const turn = scene.client.run('clerk', { message: 'go' })
    await turn.result
    expect(await resultsOf(scene, (await turn.accepted).id)).toMatchObject([
      { status: 'failed', output: expect.stringContaining('no result within 300 ms') },
      { status: 'succeeded', output: 'on' },
    ])
  })

  it('ends with all it has started when the runtime stops, however stubborn it is', async () => {
    const journal = newJournal()
    const scene = await openScene({
      definitions: [program('stubborn', {}, journal.file)],
      model: [callTool('test__breed'), say('done')],
    })
    const turn = scene.client.run('clerk', { message: 'go' })
    await turn.result
    const [call] = await resultsOf(scene, (await turn.accepted).id)
    const grandchild = Number(call?.output)
    const pid = Number(journal.lines()[0]?.split(' ')[1])
    expect([isAlive(pid), isAlive(grandchild)]).toEqual([true, true])
    await scene.stop()
    await until(() => !isAlive(pid) && !isAlive(grandchild))
  })

  it('is stopped, started and restarted by operators', async () => {
    const journal = newJournal()
    const scene = await openScene({
      definitions: [program('plain', {}, journal.file)],
      agent: { connectors: ['test'] },
    })
    const { connectors } = scene.client
    const starts = () => journal.lines().filter((line) => line.startsWith('started'))
    expect(await connectors.list()).toMatchObject([
      { name: 'test', displayName: 'test', source: 'code', status: 'idle', operationalState: 'ready', toolCount: 0 },
    ])
    expect(await connectors.start({ name: 'test' })).toMatchObject({
      status: 'connected',
      operationalState: 'healthy',
      toolCount: 8,
      lastSuccessAt: expect.any(Number),
    })
    await connectors.start({ name: 'test' })
    expect(starts()).toHaveLength(1)
    await connectors.restart({ name: 'test' })
    expect(starts()).toHaveLength(2)
    expect(await connectors.stop({ name: 'test' })).toMatchObject({ status: 'stopped', toolCount: 0 })
    await expect(connectors.tools({ name: 'test' })).rejects.toThrow(code('CONNECTOR_STOPPED'))
    expect(await failureOf(scene)).toMatchObject({
      status: 'failed',
      error: { code: 'CONNECTOR_STOPPED' },
    })
    expect(await connectors.test({ name: 'test' })).toMatchObject({ toolCount: 8 })
    await expect(connectors.start({ name: 'none' })).rejects.toThrow(code('CONNECTOR_NOT_FOUND'))
    const user = scene.caller('ada')
    await expect(user.connectors.list()).rejects.toThrow(code('FORBIDDEN'))
  })

  it('that nobody calls is ended, and started again by the next call', async () => {
    const journal = newJournal()
    const scene = await openScene({
      definitions: [program('plain', {}, journal.file)],
      limits: { healthMs: 20, idleMs: 50 },
      model: [callTool('test__echo', { text: 'awake' }), say('done')],
    })
    await scene.client.connectors.start({ name: 'test' })
    await until(async () => (await scene.client.connectors.get({ name: 'test' })).status === 'idle')
    const turn = scene.client.run('clerk', { message: 'go' })
    await turn.result
    expect(await resultsOf(scene, (await turn.accepted).id)).toMatchObject([{ status: 'succeeded', output: 'awake' }])
  })
})

describe('a runtime without connectors', () => {
  it('says so, and so does a turn of an agent that wants some', async () => {
    const scene = await openScene({ agent: { connectors: ['files'] } })
    const none = await openScene({ runtime: { connectors: undefined as never } })
    await expect(none.client.connectors.list()).rejects.toThrow(code('CONNECTORS_UNAVAILABLE'))
    expect(connectorErrors.CONNECTORS_UNAVAILABLE().kind).toBe('unavailable')
    expect(await failureOf(none)).toMatchObject({
      status: 'failed',
      error: { code: 'CONNECTORS_UNAVAILABLE' },
    })
    expect(await failureOf(scene)).toMatchObject({
      status: 'failed',
      error: { code: 'CONNECTOR_NOT_FOUND', message: 'there is no connector "files"' },
    })
  })
})
