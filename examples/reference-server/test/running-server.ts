import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingHttpHeaders, request as send } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

const main = join(import.meta.dirname, '..', 'src', 'main.ts')

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: an answer is what the test says it is
  readonly json: any
}

/** One request, written as it is given, with the Host and other headers that `fetch` would not let through. */
export function ask(
  url: string,
  method: string,
  path: string,
  { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answered> {
  const { hostname, port } = new URL(url)
  const payload = body === undefined ? undefined : JSON.stringify(body)
  const all = { ...(payload === undefined ? {} : { 'content-type': 'application/json' }), ...headers }
  const host = hostname.replace(/^\[(.*)\]$/, '$1')
  return new Promise((resolve, reject) => {
    const outgoing = send({ host, port, method, path, headers: all, agent: false }, (response) => {
      response.setEncoding('utf8')
      let text = ''
      response.on('data', (piece: string) => {
        text += piece
      })
      response.on('error', reject)
      response.on('end', () => {
        const isJson = response.headers['content-type'] === 'application/json' && text !== ''
        const { statusCode: status = 0, headers: answered } = response
        resolve({ status, headers: answered, text, json: isJson ? JSON.parse(text) : undefined })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(payload)
  })
}

/** A folder of its own, removed at the end. */
export async function scratch(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'keelson-reference-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

export interface Process extends AsyncDisposable {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  readonly stdout: () => string
  readonly stderr: () => string
  /** Where it says it listens. Rejects when it ends before. */
  listening(): Promise<string>
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
}

/** The server as a process of its own, with nothing in its environment but what is given. */
export function runServer(folder: string, environment: Readonly<Record<string, string>>): Process {
  const child = spawn(
    process.execPath,
    ['--conditions=keelson-source', '--disable-warning=ExperimentalWarning', main],
    {
      cwd: folder,
      env: { PATH: process.env['PATH'] ?? '', PORT: '0', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (piece: Buffer) => {
    stdout += piece.toString()
  })
  child.stderr.on('data', (piece: Buffer) => {
    stderr += piece.toString()
  })
  const ended = new Promise<number | string>((resolve) =>
    child.on('close', (code, signal) => resolve(code ?? signal ?? '')),
  )
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    async listening() {
      let over = false
      void ended.then(() => {
        over = true
      })
      await until(() => over || stdout.includes('access '), 'it listens')
      const url = /listens on (\S+)/.exec(stdout)?.[1]
      if (over || url === undefined) throw new Error(`it does not listen: ${stderr}`)
      return url
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) child.kill('SIGKILL')
      await ended
    },
  }
}

/** Resolves when the condition holds; fails after a time no machine is too slow for. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 25_000
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
