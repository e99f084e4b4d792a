import { endsTurn, textOf } from '@keelson/core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { InstanceOptions } from './instance.ts'
import { type Instance, startInstance } from './instances.ts'
import { inspect, newSchema, usePostgres } from './postgres-server.ts'

const server = usePostgres()

const leaseMs = 3_000

async function startHere(schema: string, options: Partial<InstanceOptions> = {}): Promise<Instance> {
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
    const following = two.ask({ do: 'follow', turn })
    await one.heard('model', 'hang and show')
    for (;;) {
      const [row] = await inspect<{ log: string }>(
        server().url,
        `select log from "${(await schemaOf(one)) ?? ''}".turns where id = $1`,
        [turn],
      )
      if (row?.log.includes('so far')) break
    }
    await two.ask({ do: 'cancel', turn })
    const events = await following
    expect(events.some((event) => event.type === 'text.delta' && event.text.includes('so far'))).toBe(true)
    expect(events.at(-1)?.type).toBe('turn.cancelled')
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
    const ended = one.ask({ do: 'follow', turn, after: (await one.ask({ do: 'follow', turn })).at(-1)?.sequence ?? 0 })
    const decisions = [one, two, two, one].map((instance) =>
      instance.ask({ do: 'decide', approval: approval?.id ?? '' }).then(
        () => 'decided',
        (error: Error) => error.message,
      ),
    )
    expect((await Promise.all(decisions)).toSorted()).toEqual([...Array(3).fill('APPROVAL_SETTLED'), 'decided'])
    expect((await ended).at(-1)?.type).toBe('turn.completed')
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
