import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js'
import { ConnectionFailure, type ProgramTransport } from '../capabilities/connectors/index.ts'

type Framing = typeof import('@modelcontextprotocol/sdk/shared/stdio.js')

/** How long a program may take to end by itself, and then to end when it is asked to. */
const graceMs = 1_000
/** What a program wrote before it ended is read for so long. */
const lastWordsMs = 200
const shownLine = 200

/** Without these most programs do not even start; nothing else of the host's environment is for them to see. */
const inherited =
  process.platform === 'win32'
    ? ['PATH', 'PATHEXT', 'SYSTEMROOT', 'TEMP', 'USERPROFILE', 'APPDATA', 'LOCALAPPDATA']
    : ['PATH', 'HOME']

/** Programs that must not outlive this process. */
const running = new Set<number>()
const killAll = () => {
  for (const pid of running) killGroup(pid, 'SIGKILL')
}

/** Ends a program and all that it has started: it leads a process group of its own. */
function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal)
  } catch {
    // All of them have ended.
  }
}

export interface ProgramOptions {
  readonly transport: ProgramTransport
  readonly secrets: Readonly<Record<string, string>>
  wrote(text: string): void
}

/** A program that is spoken to over its standard input and output. Never through a shell. */
export class Program implements Transport {
  onclose?: (() => void) | undefined
  onerror?: ((error: Error) => void) | undefined
  onmessage?: Transport['onmessage']
  /** Why it ended, once it has. */
  failure: ConnectionFailure | null = null
  readonly #options: ProgramOptions
  readonly #framing: Framing
  #child: ChildProcessByStdio<Writable, Readable, Readable> | null = null
  #ended: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | null = null

  constructor(options: ProgramOptions, framing: Framing) {
    this.#options = options
    this.#framing = framing
  }

  async start(): Promise<void> {
    const { secrets, transport, wrote } = this.#options
    const env: NodeJS.ProcessEnv = {}
    for (const name of inherited) if (process.env[name] !== undefined) env[name] = process.env[name]
    const child = spawn(transport.command, transport.args, {
      env: { ...env, ...secrets },
      shell: false,
      detached: process.platform !== 'win32',
      windowsHide: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child = child
    // Writing to a program that is gone is told by its end.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => {})
    child.stderr.setEncoding('utf8').on('data', wrote)
    this.#read(child.stdout)
    try {
      await once(child, 'spawn')
    } catch (cause) {
      this.failure = notStarted(cause, transport.command)
      throw this.failure
    }
    const { pid } = child
    if (pid !== undefined) {
      if (running.size === 0) process.once('exit', killAll)
      running.add(pid)
    }
    this.#ended = this.#watch(child)
  }

  /** Resolves when the program has ended and nothing of what it has started is left. */
  async #watch(child: ChildProcessByStdio<Writable, Readable, Readable>): Promise<void> {
    const closed = once(child, 'close').catch(() => {})
    const [code, signal] = (await once(child, 'exit').catch(() => [null, null])) as [number | null, string | null]
    const { pid } = child
    if (pid !== undefined) {
      killGroup(pid, 'SIGKILL')
      running.delete(pid)
      if (running.size === 0) process.removeListener('exit', killAll)
    }
    await Promise.race([closed, sleep(lastWordsMs, undefined, { ref: false })])
    this.failure ??= new ConnectionFailure(
      signal === null ? `the program ended with exit code ${code}` : `the program was ended by ${signal}`,
    )
    this.onclose?.()
  }

  #read(stdout: Readable): void {
    const buffer = new this.#framing.ReadBuffer()
    stdout.on('data', (chunk: Buffer) => {
      try {
        buffer.append(chunk)
      } catch {
        this.failure ??= new ConnectionFailure('the program sent a message that is too long')
        void this.close()
        return
      }
      for (;;) {
        try {
          const message = buffer.readMessage()
          if (message === null) return
          this.onmessage?.(message)
        } catch (error) {
          // Programs print greetings and warnings where only messages belong; the line is over.
          this.#options.wrote(
            `[not a message on standard output] ${String((error as Error).message).slice(0, shownLine)}\n`,
          )
        }
      }
    })
  }

  send(message: JSONRPCMessage): Promise<void> {
    const stdin = this.#child?.stdin
    if (!stdin?.writable) return Promise.reject(this.failure ?? new ConnectionFailure('the program has ended'))
    return new Promise((resolve, reject) => {
      stdin.write(this.#framing.serializeMessage(message), (error) => {
        if (error) reject(this.failure ?? new ConnectionFailure('the program reads no more', { cause: error }))
        else resolve()
      })
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    const child = this.#child
    const pid = child?.pid
    if (!child || pid === undefined) return
    child.stdin.end()
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (await this.#endsWithin(graceMs)) return
      killGroup(pid, signal)
    }
    await this.#ended
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const aborter = new AbortController()
    const late = sleep(ms, false, { signal: aborter.signal, ref: false }).catch(() => false)
    const ended = await Promise.race([this.#ended.then(() => true), late])
    aborter.abort()
    return ended
  }
}

function notStarted(cause: unknown, command: string): ConnectionFailure {
  const { code } = cause as NodeJS.ErrnoException
  const program = JSON.stringify(command.slice(Math.max(command.lastIndexOf('/'), command.lastIndexOf('\\')) + 1))
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: `the program ${program} was not found; is it installed, and in PATH?`,
    EACCES: `the program ${program} may not be executed`,
  }
  const known = reasons[code ?? '']
  return new ConnectionFailure(known ?? `the program ${program} could not be started (${code ?? 'unknown'})`, {
    permanent: known !== undefined,
    cause,
  })
}
