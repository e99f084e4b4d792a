import { realtimeErrors, type TurnEvent } from '@keelson/core'
import { createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test, vi } from 'vitest'
import { Broadcast } from '../../src/capabilities/realtime/broadcast.ts'
import { LiveTurn } from '../../src/capabilities/realtime/live-turn.ts'
import { assistant } from '../surfaces/roboticus-server.ts'

const runtimeOf = () =>
  createTestRuntime({ agents: [assistant()], model: scriptedModel([], { otherwise: say('Hello.') }) })

describe('the events of all turns', () => {
  test('are those that the callers of the turns see, in their order', async () => {
    await using runtime = await runtimeOf()
    const heard: TurnEvent[] = []
    const listen = await runtime.client.realtime.subscribe({})
    listen({ event: (event) => void heard.push(event), ended() {} })
    const handle = runtime.client.run('assistant', { message: 'Hi' })
    const seen: TurnEvent[] = []
    for await (const event of handle) seen.push(event)
    expect(heard).toEqual(seen)
    expect(seen.length).toBeGreaterThan(4)
  })

  test('are no longer told to who has left', async () => {
    await using runtime = await runtimeOf()
    const event = vi.fn()
    const listen = await runtime.client.realtime.subscribe({})
    const stop = listen({ event, ended() {} })
    stop()
    stop()
    await runtime.client.run('assistant', { message: 'Hi' }).outcome
    expect(event).not.toHaveBeenCalled()
  })

  test('go on for the turn and for others when a listener breaks, which is reported', async () => {
    await using runtime = await runtimeOf()
    const event = vi.fn()
    const listen = await runtime.client.realtime.subscribe({})
    listen({
      event() {
        throw new Error('broken listener')
      },
      ended() {},
    })
    listen({ event, ended() {} })
    expect((await runtime.client.run('assistant', { message: 'Hi' }).outcome).status).toBe('completed')
    expect(event.mock.calls.length).toBeGreaterThan(4)
    expect(runtime.reported[0]).toEqual({ error: new Error('broken listener'), where: 'listener' })
  })

  test('end for everybody when the runtime stops, also for who comes late', async () => {
    await using runtime = await runtimeOf()
    const ended = vi.fn()
    const listener = { event() {}, ended }
    const listen = await runtime.client.realtime.subscribe({})
    listen(listener)
    await runtime.stop()
    expect(ended).toHaveBeenCalledOnce()
    listen(listener)
    expect(ended).toHaveBeenCalledTimes(2)
  })

  test('are not told to nobody, nor to a page of another origin under ambient credentials', async () => {
    await using runtime = await runtimeOf()
    await expect(runtime.as(null).realtime.subscribe({})).rejects.toThrow(realtimeErrors.TICKET_INVALID().message)
    const principal = { tenant: 'default', subject: 'ann', roles: [], via: 'cookie', ambient: true }
    const requestOrigin = { origin: 'https://elsewhere.example', host: 'here.example' }
    await expect(runtime.as(principal, { requestOrigin }).realtime.subscribe({})).rejects.toThrow('same origin')
  })

  test('cost a turn nothing while nobody listens', () => {
    const broadcast = new Broadcast(() => {})
    const [early, late] = [new LiveTurn('early'), new LiveTurn('late')]
    const turn = { tenant: 't', subject: 's' } as Parameters<typeof broadcast.add>[1]
    broadcast.add(early, turn)
    expect(early.observer).toBeNull()
    const listener = { event() {}, ended() {} }
    const stops = [1, 2].map(() => broadcast.listen({ tenant: 't', subject: null }, listener))
    broadcast.add(late, turn)
    expect([early.observer, late.observer]).not.toContain(null)
    stops[0]?.()
    expect(early.observer).not.toBeNull()
    broadcast.remove(late)
    stops[1]?.()
    expect([early.observer, late.observer]).toEqual([null, null])
  })
})
