import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { onTestFinished } from 'vitest'

export interface Child {
  /** The next line that it writes, or null when it has ended. */
  line(): Promise<string | null>
  send(line: string): void
  kill(): Promise<void>
}

/** Runs a script of this folder in a process of its own, killed with the test at the latest. */
export function startChild(script: string, args: readonly string[], user?: { uid: number; gid: number }): Child {
  const command = ['--conditions=keelson-source', join(import.meta.dirname, script), ...args]
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(process.execPath, command, {
    stdio: ['pipe', 'pipe', 'inherit'],
    ...user,
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  onTestFinished(kill)
  return {
    async line() {
      const { value, done } = await lines.next()
      return done ? null : value
    },
    send: (line) => child.stdin.write(`${line}\n`),
    kill,
  }
}
