import { endsTurn, textOf } from '@keelson/core'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import type { InstanceOptions } from './child-instance.ts'
import { type Instance, startInstance } from './instances.ts'
import { inspect, newSchema } from './postgres-server.ts'
import { usePostgres } from './scene.ts'

const server = usePostgres()

const leaseMs = 1_500

/** Starts instances that go with a test which runs beside others. */
const starter =
  ({ onTestFinished }: TestContext, schema: string) =>
  async (options: Partial<InstanceOptions> = {}): Promise<Instance> => {
    const instance = await startInstance({ url: server().url, schema, leaseMs, listen: true, ...options })
    onTestFinished(() => instance.kill())
    return instance
  }

/** Role and text of every message of a session. */
async function transcript(instance: Instance, session: string): Promise<string[]> {
  const messages = await instance.ask({ do: 'messages', session })
  expect(messages.map(({ sequence }) => sequence)).toEqual(messages.map((_, index) => index + 1))
  return messages.map(({ role, parts }) => `${role}: ${textOf(parts)}`)
}

describe('two instances on one database', () => {
  let one: Instance
  let two: Instance

  beforeAll(async () => {
    const options = { url: server().url, schema: newSchema(), leaseMs: 15_000, listen: true }
    ;[one, two] = await Promise.all([startInstance(options), startInstance(options)])
  }, 60_000)
  afterAll(async () => {
    await Promise.all([one?.kill(), two?.kill()])
  })

  it('answer a conversation by turns, each knowing what the other has said', async () => {
    const { session, turn } = await one.ask({ do: 'run', message: 'message 1' })
    await one.ask({ do: 'outcome', turn })
    for (let count = 2; count <= 6; count += 1) {
      const instance = count % 2 === 0 ? two : one
      const { turn } = await instance.ask({ do: 'run', message: `message ${count}`, session })
      await instance.ask({ do: 'outcome', turn })
    }
    expect(await transcript(two, session)).toEqual(
      [1, 2, 3, 4, 5, 6].flatMap((count) => [
        `user: message ${count}`,
        `assistant: answer ${count * 2 - 1}: message ${count}`,
      ]),
    )
  })

  it('answer what comes to both at once one after the other', async () => {
    const { session, turn } = await one.ask({ do: 'run', message: 'slow start' })
    const turns = [turn]
    for (let count = 1; count <= 6; count += 1) {
      const accepted = await (count % 2 === 0 ? one : two).ask({ do: 'run', message: `next ${count}`, session })
      turns.push(accepted.turn)
    }
    for (const each of turns) {
      expect(await two.ask({ do: 'outcome', turn: each })).toMatchObject({ status: 'completed' })
    }
    const said = await transcript(one, session)
    expect(said.filter((line) => line.startsWith('user'))).toEqual([
      'user: slow start',
      ...[1, 2, 3, 4, 5, 6].map((count) => `user: next ${count}`),
    ])
    expect(said.map((line) => line.split(':')[0])).toEqual(turns.flatMap(() => ['user', 'assistant']))
  })

  it('show the same events of a turn, wherever it runs', async () => {
    const { turn } = await one.ask({ do: 'run', message: 'slow show' })
    const [there, here] = await Promise.all([two.ask({ do: 'follow', turn }), one.ask({ do: 'follow', turn })])
    const text = (events: typeof there) =>
      events.map((event) => (event.type === 'text.delta' ? event.text : '')).join('')
    expect(text(there)).toBe(text(here))
    expect(there.at(-1)).toEqual(here.at(-1))
    expect(there.filter(({ type }) => endsTurn(type))).toHaveLength(1)
    const after = there[2]?.sequence ?? 0
    const rest = await two.ask({ do: 'follow', turn, after })
    expect(rest.every(({ sequence }) => sequence > after)).toBe(true)
  })

  it('show text of a turn that runs elsewhere before it ends', async () => {
    const { turn } = await one.ask({ do: 'run', message: 'hang and show' })
    const events = await two.ask({ do: 'follow', turn, until: 'so far' })
    expect(events.at(-1)).toMatchObject({ type: 'text.delta' })
    expect(await one.ask({ do: 'turn', turn })).toMatchObject({ status: 'running' })
    await one.ask({ do: 'cancel', turn })
    const rest = await two.ask({ do: 'follow', turn, after: events.at(-1)?.sequence ?? 0 })
    expect(rest.map(({ type }) => type)).toEqual(['turn.cancelled'])
  })

  it('stop a turn in the middle of a model call when the other one is asked to', async () => {
    const { turn } = await one.ask({ do: 'run', message: 'hang until cancelled' })
    await one.heard('model', 'hang until cancelled')
    expect(await two.ask({ do: 'cancel', turn })).toMatchObject({ status: 'running', cancelRequested: true })
    expect(await two.ask({ do: 'outcome', turn })).toMatchObject({ status: 'cancelled' })
  })

  it('go on with a turn of the other after an approval', async () => {
    const { turn, session } = await one.ask({ do: 'run', message: 'pay here' })
    expect(await one.ask({ do: 'outcome', turn })).toMatchObject({ status: 'waiting' })
    const [approval] = await two.ask({ do: 'approvals', turn })
    const waiting = await one.ask({ do: 'follow', turn })
    const decisions = [one, two, two, one].map((instance) =>
      instance.ask({ do: 'decide', approval: approval?.id ?? '' }).then(
        () => 'decided',
        (error: Error) => error.message,
      ),
    )
    expect((await Promise.all(decisions)).toSorted()).toEqual([...Array(3).fill('APPROVAL_SETTLED'), 'decided'])
    const rest = await one.ask({ do: 'follow', turn, after: waiting.at(-1)?.sequence ?? 0 })
    expect(rest.at(-1)?.type).toBe('turn.completed')
    const paid = [one, two].flatMap(({ happened }) => happened.filter(({ what }) => what === 'paid'))
    expect(paid).toEqual([{ what: 'paid', detail: 'pay here' }])
    expect((await transcript(two, session)).at(-1)).toBe('assistant: done: pay here')
  })

  it('make one turn of a request that reaches both', async () => {
    const asked = [one, two, one, two].map((instance) => instance.ask({ do: 'run', message: 'once', key: 'the key' }))
    const accepted = await Promise.all(asked)
    expect(new Set(accepted.map(({ turn }) => turn)).size).toBe(1)
    expect(new Set(accepted.map(({ session }) => session)).size).toBe(1)
  })
})

describe.concurrent('an instance', () => {
  it('that is killed has its turns carried on by another, each answered once and in order', async (context) => {
    const schema = newSchema()
    const start = starter(context, schema)
    const [dead, alive] = await Promise.all([start(), start()])
    const sessions: string[] = []
    const turns: string[] = []
    for (let count = 0; count < 4; count += 1) {
      const { session, turn } = await dead.ask({ do: 'run', message: count % 2 === 0 ? 'slow first' : 'look first' })
      sessions.push(session)
      turns.push(turn)
      for (const instance of [alive, dead]) {
        const next = await instance.ask({ do: 'run', message: 'look next', session })
        turns.push(next.turn)
      }
    }
    await dead.kill()
    for (const turn of turns) {
      expect(await alive.ask({ do: 'outcome', turn })).toMatchObject({ status: 'completed' })
    }
    for (const session of sessions) {
      const messages = await alive.ask({ do: 'messages', session })
      expect(messages.map(({ sequence }) => sequence)).toEqual(messages.map((_, index) => index + 1))
      const users = messages.filter(({ role }) => role === 'user').map(({ turn }) => turn)
      expect(users).toEqual(turns.filter((turn) => users.includes(turn)))
      for (const turn of users) {
        const own = messages.filter((message) => message.turn === turn)
        expect(own.filter(({ role, parts }) => role === 'assistant' && textOf(parts) !== '')).toHaveLength(1)
        expect(own.at(-1)?.role).toBe('assistant')
      }
    }
    for (const turn of turns) {
      const events = await alive.ask({ do: 'follow', turn })
      expect(events.filter(({ type }) => endsTurn(type))).toHaveLength(1)
      expect(events.at(-1)?.type).toBe('turn.completed')
    }
  })

  it('that stands still for longer than its lease finds its turns taken over when it wakes, and writes nothing more to them', async (context) => {
    const schema = newSchema()
    const start = starter(context, schema)
    const paused = await start()
    const { turn, session } = await paused.ask({ do: 'run', message: 'hang here' })
    const slow = await paused.ask({ do: 'run', message: 'slower here' })
    await paused.heard('model', 'hang here')
    await paused.heard('model', 'slower here')
    paused.process.kill('SIGSTOP')
    const other = await start()
    await other.heard('model', 'hang here')
    await other.heard('model', 'slower here')
    await other.ask({ do: 'outcome', turn: slow.turn })
    const stored = () =>
      inspect(server().url, `select id, status, log, ended_at from "${schema}".turns where id = $1`, [slow.turn])
    const before = await stored()
    paused.process.kill('SIGCONT')
    await paused.heard('error', `turn ${slow.turn}: LEASE_LOST`)
    expect(await stored()).toEqual(before)
    expect(await paused.ask({ do: 'outcome', turn: slow.turn })).toMatchObject({ status: 'completed' })
    expect(await transcript(other, slow.session)).toHaveLength(2)
    await paused.ask({ do: 'cancel', turn })
    expect(await other.ask({ do: 'outcome', turn })).toMatchObject({ status: 'cancelled' })
    expect(await transcript(paused, session)).toEqual(['user: hang here'])
  })

  it('that stops in good order leaves its turns to the others at once', async (context) => {
    const schema = newSchema()
    const start = starter(context, schema)
    // Longer than the test may take: nobody waits for this lease to run out.
    const [leaving, staying] = await Promise.all([start({ leaseMs: 600_000 }), start()])
    const { turn } = await leaving.ask({ do: 'run', message: 'slower leave' })
    await leaving.heard('model', 'slower leave')
    await leaving.ask({ do: 'stop' })
    expect(await staying.ask({ do: 'outcome', turn })).toMatchObject({ status: 'completed' })
  })
})
