import type { RequestListener } from 'node:http'
import { timed } from '../harness/clocks.ts'
import type { StartJob } from '../harness/job.ts'
import { listen } from '../harness/listen.ts'
import { startLoadGenerator } from '../harness/load.ts'
import { makeScript } from '../harness/script.ts'
import { agentServer, health, healthPath, hostApp } from '../subjects/agent-server.ts'
import { scriptedProvider } from '../subjects/keelson.ts'

const requestsPerRound = 2_000
const concurrency = 16

/**
 * Small JSON routes on Express. `host alone`: a route of the host; `host with us`: the same route behind our mount; `our
 * route`: one that we answer; `our route, first`: the same without Express around it.
 */
export const start: StartJob = async (name) => {
  const { app, path } = await appOf(name)
  const port = await listen(app)
  const load = startLoadGenerator()
  const requests = Array.from({ length: requestsPerRound }, () => ({ method: 'GET', path }) as const)
  const round = () => timed(requestsPerRound, () => load.send({ port, requests, concurrency }))
  for (let run = 0; run < 8; run += 1) await round()
  return { round }
}

async function appOf(name: string): Promise<{ app: RequestListener; path: string }> {
  if (name === 'host alone') {
    const app = hostApp()
    app.get('/health', (_, response) => void response.json(health()))
    return { app, path: '/health' }
  }
  const { app } = await agentServer(scriptedProvider(makeScript(1, 0)))
  app.get('/health', (_, response) => void response.json(health()))
  return { app, path: name === 'our route' ? healthPath : '/health' }
}
