import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'

export const json = { 'content-type': 'application/json' }
/** Proof of a caller for the kit's surface. */
export const ann = { authorization: 'Bearer ann' }

/** The first lines of a request that is written by hand; more headers and an empty line are to follow. */
export const headOf = (target: string, type?: string): string =>
  `${target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ann\r\n${type === undefined ? '' : `content-type: ${type}\r\n`}`

/** Requests to the server under test, as the caller `ann` unless told otherwise. */
export const connectionTo = (origin: () => string) => ({
  origin,
  get: (path: string, headers: Record<string, string> = ann) => fetch(origin() + path, { headers }),
  send: (method: string, path: string) => fetch(origin() + path, { method, headers: ann }),
  post: (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json) =>
    fetch(origin() + path, { method: 'POST', body, headers: { ...ann, ...headers } }),
  /** The path as it is: `fetch` would tidy it up. */
  getRaw: (path: string) => sendRaw(origin(), `${headOf(`GET ${path}`)}connection: close\r\n\r\n`),
})

export type Connection = ReturnType<typeof connectionTo>

interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Sends text as it is over a connection of its own, so that nothing tidies the path or the framing up. */
function sendRaw(origin: string, text: string): Promise<RawAnswer> {
  const { socket, answer } = openRaw(origin)
  socket.write(text)
  return answer
}

/** A connection whose writing the caller decides. `answer` resolves with the first response. */
export function openRaw(origin: string): { socket: Socket; answer: Promise<RawAnswer> } {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  const answer = new Promise<RawAnswer>((resolve, reject) => {
    let received = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      received += chunk
      const answer = parseAnswer(received)
      if (answer === undefined) return
      resolve(answer)
      socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(received.slice(0, 200))}`)))
  })
  return { socket, answer }
}

function parseAnswer(received: string): RawAnswer | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const [statusLine = '', ...lines] = received.slice(0, end).split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const body = received.slice(end + 4)
  if (body.length < Number(headers['content-length'] ?? 0)) return undefined
  return { status: Number(statusLine.split(' ')[1]), headers, body: Buffer.from(body, 'latin1').toString('utf8') }
}

/** Posts without a length, in chunks, over a connection that is kept. */
export function postChunked(
  url: string,
  agent: Agent,
  headers: Readonly<Record<string, string>>,
  chunks: readonly string[],
): Promise<{ status: number; body: string; reusedSocket: boolean }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', agent, headers }, (incoming) => {
      let body = ''
      incoming.setEncoding('utf8')
      incoming.on('data', (chunk: string) => {
        body += chunk
      })
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body, reusedSocket: outgoing.reusedSocket }))
      incoming.on('error', reject)
    })
    outgoing.on('error', reject)
    for (const chunk of chunks) outgoing.write(chunk)
    outgoing.end()
  })
}

export const oneConnection = (): Agent => new Agent({ keepAlive: true, maxSockets: 1 })
