import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { JobOptions, Metrics, Request, Response } from './job.ts'

const childFile = fileURLToPath(new URL('../child.ts', import.meta.url))

/** A subject that does not answer within this is taken out of the benchmark. */
const answerMs = 60_000

export interface RoundsInput {
  readonly job: string
  readonly subjects: readonly string[]
  readonly options?: JobOptions
  /** How many rounds; fewer when `budgetMs` is over. */
  readonly rounds: number
  readonly budgetMs?: number
  /** Flags for the children's node. */
  readonly nodeFlags?: readonly string[]
}

export interface RoundsResult {
  /** Per subject one answer per round, in the order of the rounds. */
  readonly measured: ReadonlyMap<string, readonly Metrics[]>
  /** Why a subject is missing. */
  readonly failed: ReadonlyMap<string, string>
}

/**
 * Runs subjects side by side: one warm child process each; in every round each child in turn does the same work while
 * the others wait, so that whatever else the machine does falls on all of them alike.
 */
export async function interleave(input: RoundsInput): Promise<RoundsResult> {
  const { job, subjects, options = {}, rounds, budgetMs = 60_000, nodeFlags = [] } = input
  const children = new Map<string, Child>()
  const measured = new Map<string, Metrics[]>()
  const failed = new Map<string, string>()
  const drop = (subject: string, error: unknown) => {
    failed.set(subject, error instanceof Error ? error.message : String(error))
    children.get(subject)?.stop()
    children.delete(subject)
    measured.delete(subject)
  }
  try {
    for (const subject of subjects) {
      const child = new Child(nodeFlags)
      children.set(subject, child)
      try {
        await child.ask({ kind: 'setup', job, subject, options })
        measured.set(subject, [])
      } catch (error) {
        drop(subject, error)
      }
    }
    const deadline = performance.now() + budgetMs
    for (let round = 0; round < rounds && (round < 3 || performance.now() < deadline); round += 1) {
      for (const [subject, child] of [...children]) {
        try {
          measured.get(subject)?.push(await child.ask({ kind: 'round' }))
        } catch (error) {
          drop(subject, error)
        }
      }
    }
  } finally {
    for (const child of children.values()) child.stop()
  }
  return { measured, failed }
}

class Child {
  readonly #process: ChildProcess
  #stderr = ''

  constructor(nodeFlags: readonly string[]) {
    this.#process = fork(childFile, [], {
      execArgv: ['--conditions=keelson-source', ...nodeFlags],
      env: { ...process.env, NODE_ENV: 'production', OPENAI_AGENTS_DISABLE_TRACING: '1' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#process.stderr?.on('data', (data: Buffer) => {
      if (this.#stderr.length < 4_000) this.#stderr += data.toString()
    })
  }

  ask(request: Request): Promise<Metrics> {
    const child = this.#process
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        child.off('message', onMessage)
        child.off('exit', onExit)
        finish()
      }
      const onMessage = (response: Response) =>
        settle(() => ('error' in response ? reject(new Error(response.error)) : resolve(response.metrics)))
      const onExit = (code: number | null) =>
        settle(() => reject(new Error(`the child ended with ${code}: ${this.#stderr.slice(-800)}`)))
      const timer = setTimeout(() => settle(() => reject(new Error(`no answer within ${answerMs} ms`))), answerMs)
      child.on('message', onMessage)
      child.on('exit', onExit)
      child.send(request)
    })
  }

  /** Lets the child clear its files away; one that does not end by itself is killed. */
  stop(): void {
    const child = this.#process
    if (child.exitCode !== null || child.signalCode !== null) return
    const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
    child.once('exit', () => clearTimeout(timer))
    if (child.connected) child.disconnect()
  }
}
