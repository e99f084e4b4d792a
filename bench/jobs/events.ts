import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setImmediate as nextTick } from 'node:timers/promises'
import type { ModelPart, Provider } from '@keelson/core'
import { timed } from '../harness/clocks.ts'
import type { Job, StartJob } from '../harness/job.ts'
import { listen } from '../harness/listen.ts'
import { startLoadGenerator } from '../harness/load.ts'
import { agentServer, surfaces } from '../subjects/agent-server.ts'

const streams = 20
const chunks = 200
/** Beside the chunks: the start of the stream, the end of the answer, the end of the stream. */
const otherEvents = 3
const events = streams * (chunks + otherEvents)

const load = startLoadGenerator()
const path = surfaces.roboticus.streamPath

/**
 * 20 streams at once of 200 chunks each, one per turn of the event loop, as tokens come. `keelson`: through the agent, the
 * surface and Express; `bare`: frames of the same size written by node:http alone.
 */
export const start: StartJob = (name) => (name === 'bare' ? bareJob() : keelsonJob())

const usage = { input: 42, cacheRead: 0, cacheWrite: 0, output: 200, reasoning: 0 }

const tickingProvider: Provider = {
  id: 'bench',
  models: [{ name: 'scripted' }],
  async *stream(): AsyncGenerator<ModelPart> {
    for (let index = 0; index < chunks; index += 1) {
      await nextTick()
      yield { type: 'text', text: `tok${index % 100} ` }
    }
    yield { type: 'finish', reason: 'stop', usage }
  },
}

async function keelsonJob(): Promise<Job> {
  const { bodies, listener } = await agentServer(tickingProvider)
  const port = await listen(await listener('Express'))
  return await warmed(async () => {
    const requests = (await bodies(streams)).map((body) => ({ method: 'POST', path, body }) as const)
    return () => load.send({ port, requests, concurrency: streams })
  })
}

async function bareJob(): Promise<Job> {
  const write = async (response: ServerResponse, frame: string) => {
    if (!response.write(frame)) await once(response, 'drain')
  }
  const port = await listen(async (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    for (let index = 0; index < chunks + otherEvents; index += 1) {
      await nextTick()
      const frame = { type: 'chunk', delta: `tok${index % 100} `, model: 'bench/scripted', finish_reason: null }
      await write(response, `id: ${index}\ndata: ${JSON.stringify(frame)}\n\n`)
    }
    response.end()
  })
  const requests = Array.from({ length: streams }, () => ({ method: 'POST', path: '/', body: '{}' }) as const)
  return await warmed(async () => () => load.send({ port, requests, concurrency: streams }))
}

/** `prepare` is not part of what is measured. */
async function warmed(prepare: () => Promise<() => Promise<{ events: number }>>): Promise<Job> {
  const round = async () => {
    const send = await prepare()
    const metrics = await timed(events, async () => {
      const came = await send()
      if (came.events !== events) throw new Error(`${came.events} of ${events} events came`)
    })
    return metrics
  }
  for (let run = 0; run < 20; run += 1) await round()
  return { round }
}
