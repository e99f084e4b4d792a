// Installs the packed packages into an empty project, runs the reference server there, talks to it and stops it.
// Needs a build. Options: --keep leaves the project behind and prints where.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { lockedVersion } from './packages/lockfile.ts'
import { packInto, run } from './packages/pack.ts'
import { publicPackages, root } from './packages/workspace.ts'

const installed = ['@keelson/core', '@keelson/store-sqlite', '@keelson/adapter-express']

const folder = mkdtempSync(join(tmpdir(), 'keelson-smoke-'))
const project = join(folder, 'project')

function install(): void {
  const packages = publicPackages().filter(({ manifest }) => installed.includes(manifest.name))
  assert.equal(packages.length, installed.length, `expected ${installed.join(', ')}`)
  const packed = packInto(join(folder, 'tarballs'), packages)
  const tarballs = packed.map(({ from, tarball }) => [from.manifest.name, `file:${tarball}`])
  const others = ['express', 'ws', 'zod', '@pydantic/genai-prices'].map((name) => [name, lockedVersion(name)])
  mkdirSync(project)
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({
      name: 'keelson-smoke',
      private: true,
      type: 'module',
      dependencies: Object.fromEntries([...tarballs, ...others]),
    }),
  )
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock'], project)
  cpSync(join(root, 'examples/reference-server/src'), join(project, 'src'), { recursive: true })
}

interface RunningServer {
  readonly url: string
  readonly process: ChildProcess
}

/** What the server has printed so far. */
let output = ''

/** The environment without settings of the server or of node that the caller may have. */
const cleanEnvironment = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(KEELSON_|OPENAI_|OLLAMA_|NODE_OPTIONS$)/.test(name)),
  )

async function start(): Promise<RunningServer> {
  const child = spawn(process.execPath, ['src/main.ts'], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...cleanEnvironment(),
      HOST: '127.0.0.1',
      PORT: '0',
      KEELSON_DB: join(folder, 'smoke.db'),
      KEELSON_SURFACES: 'roboticus',
      KEELSON_AUTH: 'loopback',
    },
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const deadline = Date.now() + 60_000
  while (Date.now() < deadline) {
    const url = /listens on (http:\S+)/.exec(output)?.[1]
    if (url) return { url, process: child }
    assert.equal(child.exitCode ?? child.signalCode, null, 'the server ended while it started')
    await sleep(50)
  }
  child.kill('SIGKILL')
  throw new Error('the server does not say where it listens')
}

async function json(response: Response): Promise<Record<string, unknown>> {
  const text = await response.text()
  assert.equal(response.status, 200, `${response.url} answered ${response.status}: ${text}`)
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/)
  return JSON.parse(text) as Record<string, unknown>
}

async function talk({ url }: RunningServer): Promise<void> {
  const health = await json(await fetch(`${url}/api/health`))
  assert.equal(health.status, 'ok')
  assert.equal(typeof health.version, 'string')
  console.log(`  GET /api/health: ${JSON.stringify(health)}`)

  const say = (body: object) =>
    fetch(`${url}/api/agent/message`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const first = await json(await say({ content: 'Hello, are you there?' }))
  assert(typeof first.content === 'string' && first.content.trim() !== '', 'the answer has no text')
  assert.match(String(first.session_id), /^[0-9a-f-]{36}$/)
  assert(Number(first.tokens_out) > 0, 'the answer counts no tokens')
  console.log(`  POST /api/agent/message: ${JSON.stringify(first.content)}`)

  const second = await json(await say({ content: 'And still there?', session_id: first.session_id }))
  assert.equal(second.session_id, first.session_id)
  assert.notEqual(second.assistant_message_id, first.assistant_message_id)

  const refused = await say({ content: '' })
  const body = (await refused.json()) as Record<string, unknown>
  assert.equal(refused.status, 400)
  assert.equal(typeof body.error, 'string')
}

async function stop({ process: child }: RunningServer): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const ended = await Promise.race([exited, sleep(30_000, null, { ref: false })])
  assert.deepEqual(ended, [0, null], 'the server did not stop cleanly: exit code and signal')
}

let server: RunningServer | undefined
try {
  console.log(`smoke: installing ${installed.join(', ')} from tarballs`)
  install()
  console.log('smoke: starting the reference server')
  server = await start()
  await talk(server)
  console.log('smoke: stopping it')
  await stop(server)
  console.log('smoke: ok')
} catch (error) {
  console.error(error)
  if (output) console.error(`the server said:\n${output}`)
  process.exitCode = 1
} finally {
  if (server?.process.exitCode === null) server.process.kill('SIGKILL')
  if (process.argv.includes('--keep')) console.log(`smoke: kept ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}
