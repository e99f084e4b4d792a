// The process of one subject: does what harness/rounds.ts asks for, one request after the other.
import type { Request, Response, StartJob } from './harness/job.ts'

const jobs: Readonly<Record<string, () => Promise<{ readonly start: StartJob }>>> = {
  agent: () => import('./jobs/agent.ts'),
  allocation: () => import('./jobs/allocation.ts'),
  cold: () => import('./jobs/cold.ts'),
  durable: () => import('./jobs/durable.ts'),
  events: () => import('./jobs/events.ts'),
  history: () => import('./jobs/history.ts'),
  latency: () => import('./jobs/latency.ts'),
  lists: () => import('./jobs/lists.ts'),
  notes: () => import('./jobs/notes.ts'),
  readers: () => import('./jobs/readers.ts'),
  'postgres-turns': () => import('./jobs/postgres-turns.ts'),
  'postgres-instances': () => import('./jobs/postgres-instances.ts'),
  routes: () => import('./jobs/routes.ts'),
}

let round: (() => Promise<Response> | Response) | undefined

async function answer(request: Request): Promise<Response> {
  if (request.kind === 'round') return round ? await round() : { error: 'there is no job' }
  const load = jobs[request.job]
  if (!load) return { error: `there is no job ${request.job}` }
  const { start } = await load()
  const job = await start(request.subject, request.options)
  round = async () => ({ metrics: await job.round() })
  return { metrics: {} }
}

// What a peer prints is not measured.
for (const name of ['log', 'info', 'warn', 'debug'] as const) console[name] = () => {}

const describe = (error: unknown): Response => ({
  error: error instanceof Error ? (error.stack ?? error.message) : String(error),
})

process.on('message', async (request: Request) => {
  process.send?.(await answer(request).catch(describe))
})
process.on('disconnect', () => process.exit(0))
