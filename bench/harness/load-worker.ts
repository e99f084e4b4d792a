// The client of the HTTP benchmarks: sends what it is told over kept connections and counts what comes back.
import { Agent, request } from 'node:http'
import { parentPort } from 'node:worker_threads'
import type { LoadOrder, LoadResult } from './load.ts'

const agent = new Agent({ keepAlive: true, maxSockets: 1_000 })
const endOfEvent = '\n\n'

/** Resolves with the number of events in the answer. */
function exchange(port: number, { body, method, path }: LoadOrder['requests'][number]): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers =
      body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const outgoing = request({ host: '127.0.0.1', port, method, path, agent, headers }, (response) => {
      if (response.statusCode !== 200) {
        response.resume()
        reject(new Error(`${method} ${path} was answered with ${response.statusCode}`))
        return
      }
      let events = 0
      let rest = ''
      response.setEncoding('latin1')
      response.on('data', (piece: string) => {
        const text = rest + piece
        let from = 0
        for (let at = text.indexOf(endOfEvent); at >= 0; at = text.indexOf(endOfEvent, from)) {
          events += 1
          from = at + endOfEvent.length
        }
        rest = text.slice(Math.max(from, text.length - 1))
      })
      response.on('end', () => resolve(events))
      response.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

async function send({ concurrency, port, requests }: LoadOrder): Promise<LoadResult> {
  let next = 0
  let answers = 0
  let events = 0
  const work = async () => {
    for (let order = requests[next++]; order; order = requests[next++]) {
      const came = await exchange(port, order)
      events += came
      answers += 1
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  return { answers, events }
}

parentPort?.on('message', (order: LoadOrder) => {
  send(order).then(
    (result) => parentPort?.postMessage(result),
    (error: unknown) => parentPort?.postMessage({ error: String(error) }),
  )
})
