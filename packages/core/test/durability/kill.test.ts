import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { RunOptions } from '@keelson/core'
import { createTestRuntime, type TestRuntime } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Answer, Command } from './child/main.ts'
import { effectsIn, messageOf, workshop } from './child/workshop.ts'
import { approvalOf, callsOf, databaseFile, ends, followed, shownText, transcript, until } from './scene.ts'

/** What one process has compiled is there for the next. */
const cache = join(tmpdir(), `keelson-kill-cache-${process.pid}`)
afterAll(() => rmSync(cache, { recursive: true, force: true }))

interface Child {
  run(options: RunOptions): Promise<{ turn: string; session: string }>
  /** Begins to stop the runtime, as the end of a process does. */
  stop(): Promise<void>
  /** Ends the process so that nothing of it can run any more. */
  kill(): Promise<void>
}

/** A database, the file of what was done, and processes that work on both. */
function scene() {
  const database = databaseFile()
  const effects = `${database}.effects`
  const count = (what: string) => effectsIn(effects).filter((effect) => effect.what === what).length

  /** Waits until a call, or a turn, is stored with a status. */
  async function stored(table: 'turns' | 'tool_calls', id: string, status: string): Promise<void> {
    const reader = new DatabaseSync(database, { readOnly: true })
    try {
      const row = reader.prepare(`select status from ${table} where ${table === 'turns' ? 'id' : 'tool'} = ?`)
      await until(() => row.get(id)?.['status'] === status)
    } finally {
      reader.close()
    }
  }

  async function start(): Promise<Child> {
    const child: ChildProcess = fork(join(import.meta.dirname, 'child/main.ts'), [database, effects], {
      execArgv: ['--conditions=keelson-source'],
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const exit = once(child, 'exit')
    onTestFinished(() => {
      child.kill('SIGKILL')
    })
    const answer = async (): Promise<Answer> => (await once(child, 'message'))[0] as Answer
    const ask = (command: Command) => {
      const answered = answer()
      child.send(command)
      return answered
    }
    await answer()
    return {
      async run(options) {
        const { turn, session } = await ask({ run: options })
        return { turn: turn ?? '', session: session ?? '' }
      },
      async stop() {
        await ask({ stop: true })
      },
      async kill() {
        child.kill('SIGKILL')
        await exit
      },
    }
  }

  /** A runtime in this process on what the killed one has left. */
  async function restart(): Promise<TestRuntime> {
    const { agent, model } = workshop(effects)
    const runtime = await createTestRuntime({ agents: [agent], model, store: sqliteStore(database) })
    onTestFinished(() => runtime.stop())
    return runtime
  }
  return { count, effects, restart, start, stored }
}

describe('a process that is killed', () => {
  test('while the model streams: the next one asks again, and every reader comes to the same answer', async () => {
    const { count, restart, start } = scene()
    const child = await start()
    const { turn, session } = await child.run({ message: messageOf({ say: 'the one and only answer', hangs: true }) })
    const queued = await child.run({ session, message: messageOf({ say: 'the next' }) })
    await until(() => count('model') === 1)
    await child.kill()
    const { client } = await restart()
    expect((await client.attach(turn).result).text).toBe('the one and only answer')
    expect((await client.attach(queued.turn).result).text).toBe('the next')
    expect(count('model')).toBe(3)
    const said = (await transcript(client, session)).map((line) => line.split(':', 1)[0])
    expect(said).toEqual(['user', 'assistant', 'user', 'assistant'])
    const events = await followed(client, turn)
    for (const { sequence } of events.slice(0, -1)) {
      expect(
        shownText([
          ...events.filter((event) => event.sequence <= sequence),
          ...(await followed(client, turn, sequence)),
        ]),
      ).toBe('the one and only answer')
    }
  })

  test('while an idempotent tool runs: it runs again, with the same key', async () => {
    const { count, effects, restart, start, stored } = scene()
    const child = await start()
    const message = messageOf(
      {
        calls: [
          { tool: 'save', note: 'hangs' },
          { tool: 'pay', note: 'x' },
        ],
      },
      { say: 'saved' },
    )
    const { turn } = await child.run({ message })
    await until(() => count('save') === 1 && count('pay') === 1)
    // The result of the one is stored while the other still runs.
    await stored('tool_calls', 'pay', 'succeeded')
    await child.kill()
    const { client } = await restart()
    const outcome = await client.attach(turn).outcome
    const [save, pay] = await client.sessions.toolCalls({ turn })
    expect(effectsIn(effects).filter(({ what }) => what !== 'model')).toEqual(
      expect.arrayContaining([
        { what: 'save', key: save?.id },
        { what: 'pay', key: pay?.id },
        { what: 'save', key: save?.id },
      ]),
    )
    expect(count('pay')).toBe(1)
    expect(outcome).toMatchObject({ status: 'completed', text: 'saved' })
  })

  test('while a safe tool runs: the model is told that nobody knows', async () => {
    const { count, restart, start } = scene()
    const child = await start()
    const { turn } = await child.run({
      message: messageOf({ calls: [{ tool: 'look', note: 'hangs' }] }, { say: 'well' }),
    })
    await until(() => count('look') === 1)
    await child.kill()
    const { client } = await restart()
    expect((await client.attach(turn).result).text).toBe('well')
    expect(await callsOf(client, turn)).toMatchObject([
      { status: 'unknown', output: expect.stringContaining('unknown') },
    ])
    expect(count('look')).toBe(1)
  })

  test.each([
    ['retry', 2, { status: 'succeeded', output: 'pay hangs' }],
    ['done', 1, { status: 'succeeded', output: 'a person says that this call was done' }],
    ['failed', 1, { status: 'failed', output: 'a person says that this call failed' }],
  ] as const)(
    'while any other tool runs: the turn is interrupted until somebody decides %s',
    async (decision, runs, call) => {
      const { count, restart, start } = scene()
      const child = await start()
      const message = messageOf({ calls: [{ tool: 'pay', note: 'hangs' }] }, { say: 'settled' })
      const { turn } = await child.run({ message })
      await until(() => count('pay') === 1)
      await child.kill()
      const { client } = await restart()
      expect(await client.attach(turn).outcome).toMatchObject({
        status: 'interrupted',
        error: { code: 'TOOL_OUTCOME_UNKNOWN' },
      })
      expect(count('pay')).toBe(1)
      await client.turns.decide({ id: turn, decision })
      expect((await client.attach(turn).result).text).toBe('settled')
      expect(await callsOf(client, turn)).toMatchObject([call])
      expect(count('pay')).toBe(runs)
    },
  )

  test('while an approval waits: the decision after the restart runs the call once', async () => {
    const { count, restart, start, stored } = scene()
    const child = await start()
    const message = messageOf(
      {
        calls: [
          { tool: 'ask', note: 'x' },
          { tool: 'look', note: 'y' },
        ],
      },
      { say: 'done' },
    )
    const { turn, session } = await child.run({ message })
    const queued = await child.run({ session, message: messageOf({ say: 'next' }) })
    await stored('turns', turn, 'waiting')
    await child.kill()
    const { client } = await restart()
    expect(await client.attach(turn).outcome).toMatchObject({ status: 'waiting' })
    expect(await client.sessions.turn({ id: queued.turn })).toMatchObject({ status: 'queued' })
    await client.approvals.decide({ id: await approvalOf(client, turn), decision: 'approve' })
    expect((await client.attach(queued.turn).result).text).toBe('next')
    expect(await callsOf(client, turn)).toMatchObject([{ tool: 'ask', status: 'succeeded' }, { tool: 'look' }])
    expect([count('ask'), count('look')]).toEqual([1, 1])
    expect(ends(await followed(client, turn))).toMatchObject([{ type: 'turn.completed' }])
  })

  test('while it shuts down: the next one goes on as after any other end', async () => {
    const { count, restart, start } = scene()
    const child = await start()
    const paying = await child.run({
      message: messageOf({ calls: [{ tool: 'pay', note: 'hangs' }] }, { say: 'settled' }),
    })
    const saving = await child.run({
      message: messageOf({ calls: [{ tool: 'save', note: 'hangs' }] }, { say: 'saved' }),
    })
    const speaking = await child.run({ message: messageOf({ say: 'some words', hangs: true }) })
    await until(() => count('pay') === 1 && count('save') === 1 && count('model') === 3)
    await child.stop()
    await child.kill()
    const { client } = await restart()
    expect((await client.attach(saving.turn).result).text).toBe('saved')
    expect((await client.attach(speaking.turn).result).text).toBe('some words')
    expect(await client.attach(paying.turn).outcome).toMatchObject({ status: 'interrupted' })
    expect([count('pay'), count('save')]).toEqual([1, 2])
  })

  test('leaves its file to the next one at once, and keeps it from any other while it lives', async () => {
    const { restart, start } = scene()
    const child = await start()
    await expect(restart()).rejects.toMatchObject({ code: 'STORE_IN_USE' })
    await child.kill()
    await restart()
  })
})
