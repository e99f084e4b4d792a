// A server over stdio that behaves as its first argument says. Started by connectors under test.
import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [, , behaviour = 'plain', journal = ''] = process.argv
const noted = (what: string) => {
  if (journal !== '') appendFileSync(journal, `${what}\n`)
}
noted(`started ${process.pid}`)

const send = (message: object): void => void process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const input = { type: 'object', properties: { text: { type: 'string' } }, additionalProperties: false }
const tools = [
  { name: 'slow', description: 'Never ends', inputSchema: input },
  {
    name: 'echo',
    description: 'Says it again',
    inputSchema: { ...input, required: ['text'] },
    annotations: { readOnlyHint: true },
  },
  { name: 'environment', description: 'What it sees', inputSchema: input },
  { name: 'die', description: 'Ends in mid-call', inputSchema: input },
  { name: 'fail', description: 'Does not work', inputSchema: input },
  {
    name: 'grow',
    description: 'Gets a tool',
    inputSchema: input,
    annotations: { readOnlyHint: false, destructiveHint: false },
  },
  { name: 'breed', description: 'Starts a program', inputSchema: input },
  { name: 'files/read me!', description: '', inputSchema: input },
]

const text = (value: string, more = {}) => ({ content: [{ type: 'text', text: value }], ...more })

/** What a call comes to; undefined is never answered. */
function resultOf(name: string, args: { text?: string }): object | undefined {
  switch (name) {
    case 'echo':
      return text(args.text ?? '')
    case 'environment':
      return text(JSON.stringify(process.env))
    case 'die':
      process.stderr.write('dying as asked\n')
      return process.exit(7)
    case 'fail':
      return text('it\ndid not\nwork', { isError: true })
    case 'grow':
      tools.push({ name: `grown${tools.length}`, description: 'New', inputSchema: input })
      send({ method: 'notifications/tools/list_changed' })
      return text('grown')
    case 'breed': {
      const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
      return text(String(child.pid))
    }
    default:
      return undefined
  }
}

function called(id: unknown, name: string, args: { text?: string }): void {
  noted(`called ${name}`)
  const result = resultOf(name, args)
  if (result) send({ id, result })
}

if (behaviour === 'dies') {
  process.stderr.write(`cannot log in with ${process.env['TOKEN']}\n`)
  process.exit(3)
}
if (behaviour === 'floods') {
  const line = `${'noise '.repeat(100)}\n`
  const flood = () => {
    for (let count = 0; count < 200; count += 1) process.stderr.write(line)
  }
  for (let count = 0; count < 100; count += 1) flood()
  setInterval(flood, 5)
}
if (behaviour === 'babbles') setInterval(() => process.stdout.write('hello, this is no message\n{"half": \n'), 5)
// Ends neither when its input ends nor when it is asked to.
if (behaviour === 'stubborn') {
  process.on('SIGTERM', () => noted('asked to end'))
  setInterval(() => {}, 1_000)
}

createInterface({ input: process.stdin }).on('line', (line) => {
  if (behaviour === 'silent') return
  const { id, method, params } = JSON.parse(line)
  noted(method)
  if (behaviour === 'listless' && method === 'tools/list') return
  if (method === 'initialize') {
    const { protocolVersion } = params
    const capabilities = { tools: { listChanged: true } }
    send({ id, result: { protocolVersion, capabilities, serverInfo: { name: 'test', version: '1' } } })
  } else if (method === 'tools/list') {
    // In another order each time.
    tools.reverse()
    send({ id, result: { tools } })
  } else if (method === 'tools/call') called(id, params.name, params.arguments ?? {})
  else if (method === 'ping') send({ id, result: {} })
})
