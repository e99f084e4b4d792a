import type { RequestListener } from 'node:http'
import { keelson as onExpress } from '@keelson/adapter-express'
import { keelson as onFastify } from '@keelson/adapter-fastify'
import Fastify from 'fastify'
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
 * Small JSON routes on Express or Fastify. `host alone`: a route of the host; `host with us`: the same route with our mount
 * on the app; `our route`: one that we answer.
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

async function appOf(subject: string): Promise<{ app: RequestListener; path: string }> {
  const [framework, name] = subject.split(': ')
  const path = name === 'our route' ? healthPath : '/health'
  const ours = name === 'host alone' ? undefined : await agentServer(scriptedProvider(makeScript(1, 0)))
  if (framework === 'Fastify') {
    const app = Fastify()
    app.get('/health', async () => health())
    if (ours) await app.register(onFastify(ours.runtime, ours.mounting))
    await app.ready()
    return { app: app.routing, path }
  }
  const app = hostApp()
  if (ours) app.use(onExpress(ours.runtime, ours.mounting))
  app.get('/health', (_, response) => void response.json(health()))
  return { app, path }
}
