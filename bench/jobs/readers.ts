import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { getHeapStatistics } from 'node:v8'
import { keelson } from '@keelson/adapter-express'
import { createRuntime, type ModelPart, type Provider, singleOwner } from '@keelson/core'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { sqliteStore } from '@keelson/store-sqlite'
import type { StartJob } from '../harness/job.ts'
import { instructions } from '../harness/script.ts'
import { surfaces } from '../subjects/agent-server.ts'

const readers = 500
const chunks = 2_000
const chunk = 'twenty-five characters.. '

/**
 * 500 readers that take nothing, each of a stream of its own of 49 KiB of text: what every one of them costs once all
 * turns have ended, and what is left of that when the readers are gone. Needs `--expose-gc`.
 */
export const start: StartJob = async () => {
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [chattyProvider],
    agents: [{ id: 'bench', instructions, models: ['bench/scripted'] }],
  })
  await runtime.start()
  const client = runtime.as(singleOwner('bench'))
  const handle = keelson(runtime, {
    mounts: [{ prefix: '/ai', surface: roboticus() }],
    authenticate: () => singleOwner('bench'),
  })
  let number = 0
  const open = async () => {
    const { id } = await client.sessions.create({ agent: 'bench' })
    number += 1
    const request = postRequest(JSON.stringify({ content: `Question ${number}`, session_id: id }))
    // Without a socket nothing ever leaves its buffer, as with a client that has stopped reading.
    const response = new ServerResponse(request)
    handle(request, response)
    return { session: id, response }
  }
  const ended = async (session: string) => {
    for (;;) {
      const [turn] = await client.sessions.turns({ session, limit: 1, offset: 0 })
      if (turn?.status === 'completed') return
      await sleep(20)
    }
  }
  return {
    async round() {
      const before = used()
      const opened = await Promise.all(Array.from({ length: readers }, open))
      await Promise.all(opened.map(({ session }) => ended(session)))
      const kib = (used() - before) / readers / 1_024
      for (const { response } of opened.splice(0)) {
        response.destroy()
        response.emit('close')
      }
      await sleep(2_000)
      return { kibPerReader: kib, kibAfterwards: (used() - before) / readers / 1_024 }
    },
  }
}

const usage = { input: 1, cacheRead: 0, cacheWrite: 0, output: chunks, reasoning: 0 }

const chattyProvider: Provider = {
  id: 'bench',
  models: [{ name: 'scripted' }],
  async *stream(): AsyncGenerator<ModelPart> {
    for (let index = 0; index < chunks; index += 1) {
      if (index % 100 === 0) await sleep(1)
      yield { type: 'text', text: chunk }
    }
    yield { type: 'finish', reason: 'stop', usage }
  },
}

/** A request that has arrived whole. */
function postRequest(body: string): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  request.method = 'POST'
  request.url = surfaces.roboticus.streamPath
  request.headers = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }
  request.complete = true
  request.push(body)
  request.push(null)
  return request
}

function used(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  return getHeapStatistics().used_heap_size
}
