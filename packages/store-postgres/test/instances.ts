import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Approval, Message, Session, Turn, TurnEvent, TurnOutcome } from '@keelson/core'
import type { Command, InstanceOptions, Report } from './child-instance.ts'

/** What each command comes to. */
interface Answers {
  run: { readonly turn: string; readonly session: string }
  outcome: TurnOutcome
  follow: TurnEvent[]
  cancel: Turn
  decide: Approval
  approvals: Approval[]
  messages: Message[]
  turn: Turn
  session: Session
  stop: null
}

/** A runtime in a process of its own. */
export interface Instance {
  readonly process: ChildProcess
  /** What it has reported by itself, oldest first. */
  readonly happened: readonly { readonly what: string; readonly detail: string }[]
  /** Rejects with the error's code, or when the process ends. */
  ask<Do extends Command['do']>(command: Extract<Command, { do: Do }>): Promise<Answers[Do]>
  /** Resolves when it has reported this, which it may have done before. */
  heard(what: string, detail?: string): Promise<void>
  kill(): Promise<void>
}

export async function startInstance(options: InstanceOptions): Promise<Instance> {
  const child = fork(join(import.meta.dirname, 'child-instance.ts'), [JSON.stringify(options)], {
    execArgv: ['--conditions=keelson-source'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const happened: { what: string; detail: string }[] = []
  const asked = new Map<number, PromiseWithResolvers<unknown>>()
  const listeners = new Set<() => void>()
  const ended = once(child, 'exit')
  let number = 0

  child.on('message', (report: Report) => {
    if ('happened' in report) {
      happened.push({ what: report.happened, detail: report.detail ?? '' })
      for (const listener of [...listeners]) listener()
      return
    }
    const { answers, code, value } = report
    if (code === undefined) asked.get(answers)?.resolve(value)
    else asked.get(answers)?.reject(new Error(code))
    asked.delete(answers)
  })
  child.once('exit', () => {
    for (const { reject } of asked.values()) reject(new Error('the instance has ended'))
    asked.clear()
  })

  const instance: Instance = {
    process: child,
    happened,

    ask(command) {
      number += 1
      const answer = Promise.withResolvers<unknown>()
      // Whoever kills an instance does not wait for its answers.
      answer.promise.catch(() => {})
      asked.set(number, answer)
      const gone = () => answer.reject(new Error('the instance has ended'))
      if (child.connected) child.send({ number, command }, (error) => error && gone())
      else gone()
      return answer.promise as Promise<never>
    },

    heard: (what, detail) =>
      new Promise((resolve) => {
        const check = () => {
          if (!happened.some((each) => each.what === what && (detail === undefined || each.detail.includes(detail))))
            return
          listeners.delete(check)
          resolve()
        }
        listeners.add(check)
        check()
      }),

    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
  await Promise.race([
    instance.heard('started'),
    ended.then(() => Promise.reject(new Error('the instance did not start'))),
  ])
  return instance
}
