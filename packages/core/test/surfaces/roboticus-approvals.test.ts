import { type Clock, defineTool, systemClock } from '@keelson/core'
import { callTool, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { assistant, rfcTime, roboticusServer, type ServerOptions, until, uuid } from './roboticus-server.ts'

/** A server whose agent asks before it books, and what was booked. */
async function hotel(options: Partial<ServerOptions> = {}) {
  const booked: string[] = []
  const book = defineTool({
    name: 'book',
    description: 'Books a room',
    input: z.object({ room: z.string() }),
    risk: 'caution',
    approval: 'always',
    execute({ room }) {
      booked.push(room)
      return `booked ${room}`
    },
  })
  const model = scriptedModel([callTool('book', { room: 'garden' }), say('I asked for approval.')], {
    otherwise: say('The room is booked.'),
  })
  const server = await roboticusServer({ model, agents: [assistant({ tools: [book] })], ...options })
  const sent = await server.ask('POST', '/api/agent/message', { body: { content: 'Book the garden room' } })
  const session: string = sent.json.session_id
  const pending = async () => (await server.ask('GET', '/api/approvals')).json
  const messages = async (): Promise<{ role: string; content: string }[]> =>
    (await server.ask('GET', `/api/sessions/${session}/messages`)).json.messages
  const turns = () => server.runtime.client.sessions.turns({ session, limit: 10, offset: 0 })
  return {
    server,
    model,
    booked,
    sent,
    session,
    pending,
    messages,
    turns,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

const gone = { error: 'no pending approval with this id' }

describe('a call that needs approval', () => {
  test('does not run; the turn ends and tells the model that it waits', async () => {
    await using stay = await hotel()
    expect(stay.sent.json).toMatchObject({ content: 'I asked for approval.', react_turns: 2 })
    expect(stay.booked).toEqual([])
    const told = stay.model.calls[1]?.request.messages.at(-1)?.parts
    expect(told).toMatchObject([{ type: 'tool-result', tool: 'book', output: expect.stringContaining('approval') }])
    const [turn] = await stay.turns()
    expect(await stay.pending()).toEqual({
      pending: [
        {
          id: uuid,
          tool_name: 'book',
          tool_input: '{"room":"garden"}',
          session_id: turn?.id,
          requested_authority: 'Creator',
          status: 'Pending',
          decided_by: null,
          decided_at: null,
          timeout_at: rfcTime,
          created_at: rfcTime,
        },
      ],
      total: 1,
    })
  })

  test('runs in a turn of its own once it is approved', async () => {
    await using stay = await hotel()
    const { id } = (await stay.pending()).pending[0]
    const got = await stay.server.ask('POST', `/api/approvals/${id}/approve`, { body: { decided_by: 'ann' } })
    expect(got.json).toMatchObject({ approval: { id, status: 'Approved', decided_by: 'ann' }, replay_queued: true })
    await until(async () => (await stay.turns())[1]?.status === 'completed', 'the follow-up turn')
    expect(stay.booked).toEqual(['garden'])
    expect((await stay.messages()).at(-1)).toMatchObject({ role: 'assistant', content: 'The room is booked.' })
    expect(await stay.pending()).toEqual({ pending: [], total: 0 })
  })

  test('never runs once it is denied', async () => {
    await using stay = await hotel()
    const { id } = (await stay.pending()).pending[0]
    const got = await stay.server.ask('POST', `/api/approvals/${id}/deny`)
    expect(got.json).toMatchObject({ id, status: 'Denied', decided_by: 'api', decided_at: rfcTime })
    await stay.server.ask('POST', '/api/agent/message', { body: { content: 'And now?' } })
    expect(stay.booked).toEqual([])
    expect(await stay.turns()).toHaveLength(2)
    expect(await stay.pending()).toEqual({ pending: [], total: 0 })
  })
})

describe('a decision', () => {
  test.each([
    ['approve', 'approve'],
    ['approve', 'deny'],
    ['deny', 'approve'],
    ['deny', 'deny'],
  ])('%s cannot be followed by %s', async (first, second) => {
    await using stay = await hotel()
    const { id } = (await stay.pending()).pending[0]
    expect((await stay.server.ask('POST', `/api/approvals/${id}/${first}`)).status).toBe(200)
    const got = await stay.server.ask('POST', `/api/approvals/${id}/${second}`)
    expect([got.status, got.json]).toEqual([404, gone])
    if (first === 'approve') await until(async () => (await stay.turns())[1]?.status === 'completed', 'the follow-up')
    expect(stay.booked).toEqual(first === 'approve' ? ['garden'] : [])
  })

  test('of many at once one counts, and the tool runs once', async () => {
    await using stay = await hotel()
    const { id } = (await stay.pending()).pending[0]
    const all = await Promise.all(
      Array.from({ length: 10 }, () => stay.server.ask('POST', `/api/approvals/${id}/approve`)),
    )
    expect(all.map(({ status }) => status).toSorted()).toEqual([200, ...Array(9).fill(404)])
    await until(async () => (await stay.turns())[1]?.status === 'completed', 'the follow-up')
    expect(stay.booked).toEqual(['garden'])
    expect(await stay.turns()).toHaveLength(2)
  })

  test.each(['00000000-0000-4000-8000-000000000000', 'nothing', '%3Cb%3E'])('on %s is a 404', async (id) => {
    await using stay = await hotel()
    for (const decision of ['approve', 'deny']) {
      const got = await stay.server.ask('POST', `/api/approvals/${id}/${decision}`)
      expect([got.status, got.json]).toEqual([404, gone])
    }
    expect((await stay.pending()).total).toBe(1)
  })

  test.each<[string, object, string]>([
    ['no body', {}, 'api'],
    ['an empty object', { body: {} }, 'api'],
    ['null', { body: { decided_by: null } }, 'api'],
    ['a blank', { body: { decided_by: '  ' } }, 'api'],
    ['control characters alone', { body: { decided_by: '\n\u0000\u0007' } }, 'api'],
    ['control characters within', { body: { decided_by: 'a\nn\u0000n\u007f' } }, 'ann'],
    ['256 bytes', { body: { decided_by: 'é'.repeat(128) } }, 'é'.repeat(128)],
    ['no body but its type', { headers: { 'content-type': 'application/json' } }, 'api'],
  ])('with %s as who decided', async (_, asked, decidedBy) => {
    for (const decision of ['approve', 'deny']) {
      await using stay = await hotel()
      const { id } = (await stay.pending()).pending[0]
      const { json, status } = await stay.server.ask('POST', `/api/approvals/${id}/${decision}`, asked)
      expect(status).toBe(200)
      expect((json.approval ?? json).decided_by).toBe(decidedBy)
    }
  })

  test.each<[string, object, number]>([
    ['more than 256 bytes', { body: { decided_by: 'é'.repeat(129) } }, 400],
    ['a number', { body: { decided_by: 7 } }, 422],
    ['a list', { body: [] }, 422],
    ['broken JSON', { body: '{"decided_by"' }, 400],
    ['another type', { body: 'decided_by=ann', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
  ])('with %s is refused, and nothing is decided', async (_, asked, status) => {
    await using stay = await hotel()
    const { id } = (await stay.pending()).pending[0]
    for (const decision of ['approve', 'deny']) {
      expect((await stay.server.ask('POST', `/api/approvals/${id}/${decision}`, asked)).status).toBe(status)
    }
    expect((await stay.pending()).total).toBe(1)
    expect(stay.booked).toEqual([])
  })
})

describe('a decision that comes too late', () => {
  /** The system's clock, ahead by as much as the test says. */
  function movable() {
    let ahead = 0
    const clock: Clock = { now: () => systemClock.now() + ahead, after: systemClock.after }
    return { clock, forward: (ms: number) => (ahead += ms) }
  }

  test('is a 404, and the list no longer has the request', async () => {
    const { clock, forward } = movable()
    await using stay = await hotel({ clock })
    const { id } = (await stay.pending()).pending[0]
    forward(300_001)
    const late = await stay.server.ask('POST', `/api/approvals/${id}/approve`)
    expect([late.status, late.json]).toEqual([404, gone])
    expect(await stay.pending()).toEqual({ pending: [], total: 0 })
    expect(await stay.server.runtime.client.approvals.get({ id })).toMatchObject({ status: 'expired' })
    expect((await stay.server.ask('GET', '/api/agent/status')).json.diagnostics.pending_approvals).toBe(0)
    expect(stay.booked).toEqual([])
  })

  test('is not yet too late before the time is over', async () => {
    const { clock, forward } = movable()
    await using stay = await hotel({ clock })
    const { id } = (await stay.pending()).pending[0]
    forward(290_000)
    expect((await stay.server.ask('POST', `/api/approvals/${id}/approve`)).status).toBe(200)
  })
})

test('a list longer than a page is given as a whole', async () => {
  const many = Array.from({ length: 20 }, (_, index) => callTool('book', { room: `room ${index}` }))
  const model = scriptedModel([], { otherwise: say('Asked.') })
  for (let turn = 0; turn < 26; turn += 1) model.push(many, say('Asked.'))
  const book = defineTool({
    name: 'book',
    description: 'Books a room',
    input: z.object({ room: z.string() }),
    approval: 'always',
    execute: () => 'booked',
  })
  await using server = await roboticusServer({ model, agents: [assistant({ tools: [book] })] })
  for (let turn = 0; turn < 26; turn += 1) {
    await server.ask('POST', '/api/agent/message', { body: { content: `Book them, ${turn}` } })
  }
  const { json } = await server.ask('GET', '/api/approvals')
  expect(json.total).toBe(520)
  expect(new Set(json.pending.map(({ id }: { id: string }) => id)).size).toBe(520)
  expect((await server.ask('GET', '/api/agent/status')).json.diagnostics.pending_approvals).toBe(520)
})
