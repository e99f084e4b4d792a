import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OpenApiDocument } from './document.ts'
import { Random } from './random.ts'
import { type FuzzRequest, Requests } from './requests.ts'

export interface Fuzzed {
  readonly problems: readonly string[]
  /** How many answers there were of each status. */
  readonly statuses: Readonly<Record<number, number>>
  /** What the server kept in memory after each quarter. */
  readonly heapBytes: readonly number[]
  readonly tookMs: number
}

const atOnce = 16
/** A server that does not answer in this time hangs. */
const answerMs = 30_000
/** What may be kept after a quarter has warmed everything up: caches are bounded, and this is more than they hold. */
const growthBytes = 48 * 1_048_576

export async function fuzz(options: {
  readonly framework: 'express' | 'fastify'
  readonly requests: number
  readonly seed: number
}): Promise<Fuzzed> {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-fuzz-'))
  const child = fork(join(import.meta.dirname, 'server.ts'), [options.framework, join(folder, 'fuzz.db')], {
    execArgv: ['--conditions=keelson-source', '--expose-gc'],
  })
  const began = performance.now()
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce })
  try {
    const [{ url }] = (await once(child, 'message')) as [{ url: string }]
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApiDocument
    const random = new Random(options.seed)
    const requests = new Requests(document, random)
    const statuses: Record<number, number> = {}
    const problems: string[] = []
    const heapBytes: number[] = []
    for (let quarter = 0; quarter < 4; quarter += 1) {
      let left = Math.ceil(options.requests / 4)
      const work = async () => {
        while (left > 0) {
          left -= 1
          const next = requests.next()
          try {
            const { status, text } = await send(agent, url, next, random.chance(0.02))
            statuses[status] = (statuses[status] ?? 0) + 1
            if (status >= 500 && status !== 503) problems.push(`${status} ${describe(next)} -> ${text.slice(0, 200)}`)
            requests.learn(text)
          } catch (error) {
            problems.push(`${error instanceof Error ? error.message : error} ${describe(next)}`)
          }
        }
      }
      await Promise.all(Array.from({ length: atOnce }, work))
      const { heapBytes: heap, complaints } = await ask(child)
      heapBytes.push(heap)
      for (const complaint of complaints) problems.push(`the server complains: ${complaint.slice(0, 300)}`)
    }
    const [first = 0] = heapBytes
    const last = heapBytes.at(-1) ?? 0
    if (last > first + growthBytes) problems.push(`memory has grown from ${first} to ${last} bytes`)
    return { problems, statuses, heapBytes, tookMs: performance.now() - began }
  } finally {
    agent.destroy()
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

async function ask(child: ChildProcess): Promise<{ heapBytes: number; complaints: string[] }> {
  const answer = once(child, 'message')
  child.send('memory')
  const [told] = await answer
  return told as { heapBytes: number; complaints: string[] }
}

const describe = ({ method, target, body }: FuzzRequest): string =>
  `${method} ${target.slice(0, 200)}${body === undefined ? '' : ` ${body.slice(0, 300)}`}`

/** The answer as far as it is read; status 0 for one that is left in the middle. */
function send(
  agent: Agent | false,
  url: string,
  next: FuzzRequest,
  leaves: boolean,
): Promise<{ status: number; text: string }> {
  const { method, target, headers, body } = next
  const { hostname, port } = new URL(url)
  const options = { hostname, port, method, path: target, headers, agent, timeout: answerMs }
  return new Promise((resolve, reject) => {
    const outgoing = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => {
        if (text.length < 100_000) text += piece
        if (leaves) response.destroy()
      })
      response.on('close', () => resolve({ status: leaves ? 0 : (response.statusCode ?? 0), text }))
      response.on('error', (error) => (leaves ? resolve({ status: 0, text }) : reject(error)))
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')))
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // The server may have given up an idle connection just before it was used again.
      if (outgoing.reusedSocket && error.code === 'ECONNRESET') resolve(send(false, url, next, leaves))
      else reject(error)
    })
    outgoing.end(body)
  })
}
