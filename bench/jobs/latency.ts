import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelPart, Provider } from '@keelson/core'
import type { StartJob } from '../harness/job.ts'
import { listen } from '../harness/listen.ts'
import { median } from '../harness/statistics.ts'
import { agentServer, type FrameworkName, type SurfaceName, surfaces } from '../subjects/agent-server.ts'

const requestsPerRound = 25
const usage = { input: 42, cacheRead: 0, cacheWrite: 0, output: 1, reasoning: 0 }

/**
 * From the provider's first chunk to the same text in the hands of an HTTP client in the same process. A subject is a
 * surface and a framework.
 */
export const start: StartJob = async (subject) => {
  const [surface, framework] = subject.split(' on ') as [SurfaceName, FrameworkName]
  let saidAt = 0
  const provider: Provider = {
    id: 'bench',
    models: [{ name: 'scripted' }],
    async *stream(): AsyncGenerator<ModelPart> {
      // The connection is quiet by then, as it is when a model takes its time.
      await sleep(5)
      saidAt = performance.now()
      yield { type: 'text', text: 'first' }
      await sleep(2)
      yield { type: 'finish', reason: 'stop', usage }
    },
  }
  const { bodies, listener } = await agentServer(provider, surface)
  const port = await listen(await listener(framework))
  const path = surfaces[surface].streamPath
  const agent = new Agent({ keepAlive: true })

  const once = (body: string) =>
    new Promise<number>((resolve, reject) => {
      let cameAt = 0
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
      const outgoing = request({ host: '127.0.0.1', port, method: 'POST', path, agent, headers }, (response) => {
        response.setEncoding('latin1')
        response.on('data', (piece: string) => {
          if (cameAt === 0 && piece.includes('"delta":"first"')) cameAt = performance.now()
        })
        response.on('end', () => (cameAt === 0 ? reject(new Error('no chunk came')) : resolve(cameAt - saidAt)))
        response.on('error', reject)
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })

  const round = async () => {
    const all: number[] = []
    for (const body of await bodies(requestsPerRound)) all.push(await once(body))
    return { firstChunkMs: median(all) }
  }
  for (let run = 0; run < 6; run += 1) await round()
  return { round }
}
