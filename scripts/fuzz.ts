// Sends random requests made of its own OpenAPI document to the reference server: none may be answered at or above 500
// (503 is an answer where something is not configured), none may crash it, and its memory must stay flat.
// Usage: node --conditions=keelson-source scripts/fuzz.ts [requests] [seed]
import { fuzz } from './fuzz/run.ts'

const [requests = 100_000, seed = 1] = process.argv.slice(2).map(Number)
for (const framework of ['express', 'fastify'] as const) {
  const { problems, statuses, heapBytes, tookMs } = await fuzz({ framework, requests: requests / 2, seed })
  const told = Object.entries(statuses).map(([status, count]) => `${status}: ${count}`)
  const heap = heapBytes.map((bytes) => `${Math.round(bytes / 1_048_576)} MiB`)
  console.log(
    `${framework}: ${requests / 2} requests in ${Math.round(tookMs / 1000)} s; ${told.join(', ')}; heap ${heap.join(', ')}`,
  )
  for (const problem of problems.slice(0, 20)) console.log(`  ${problem}`)
  if (problems.length > 0) process.exitCode = 1
}
