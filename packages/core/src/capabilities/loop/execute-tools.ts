import PQueue from 'p-queue'
import type { Clock } from '../../kernel/clock.ts'
import type { Json } from '../../kernel/json.ts'
import { shapeOutput, type Tool, type ToolContext } from '../tools/index.ts'

export interface CallEnd {
  readonly id: string
  readonly call: string
  readonly tool: string
  readonly status: 'succeeded' | 'failed' | 'denied' | 'unknown' | 'deferred'
  readonly output: Json
  readonly startedAt: number
  readonly endedAt: number
}

/** The end of a call that really ran. */
export type RanCall = CallEnd & { readonly status: 'succeeded' | 'failed' }

export interface ExecuteInput {
  readonly id: string
  readonly call: string
  readonly tool: Tool
  readonly args: unknown
  readonly context: Omit<ToolContext, 'signal' | 'idempotencyKey'>
  readonly clock: Clock
}

/** Calls that run side by side. */
class RunningCalls {
  /** Ends each of those that run. */
  readonly giveUps = new Set<(reason: unknown) => void>()
  #stopped: { readonly reason: unknown } | undefined

  throwIfStopped(): void {
    if (this.#stopped) throw this.#stopped.reason
  }

  stop(reason: unknown): void {
    this.#stopped ??= { reason }
    for (const giveUp of this.giveUps) giveUp(reason)
  }
}

/** Runs one call. Its failure is a result for the model; it rejects only when the calls are stopped. */
async function executeCall(
  { id, call, tool, args, context, clock }: ExecuteInput,
  calls: RunningCalls,
): Promise<RanCall> {
  calls.throwIfStopped()
  const startedAt = clock.now()
  const aborter = new AbortController()
  let stopWatching = () => {}
  let status: RanCall['status'] = 'failed'
  let output: Json
  try {
    const value = await new Promise<unknown>((resolve, reject) => {
      const giveUp = (reason: unknown) => {
        // A result that is there by now counts.
        queueMicrotask(() => reject(reason))
        aborter.abort(reason)
      }
      const cancelTimer = clock.after(tool.timeoutMs, () => giveUp(new Error(`no result within ${tool.timeoutMs} ms`)))
      calls.giveUps.add(giveUp)
      stopWatching = () => {
        cancelTimer()
        calls.giveUps.delete(giveUp)
      }
      const { signal } = aborter
      Promise.resolve(tool.execute(args, { ...context, signal, idempotencyKey: id })).then(resolve, reject)
    })
    const shaped = shapeOutput(value, tool.maxOutputBytes)
    if (!shaped.isError) status = 'succeeded'
    output = shaped.output
  } catch (error) {
    calls.throwIfStopped()
    output = describeFailure(error)
  } finally {
    stopWatching()
  }
  return { id, call, tool: tool.name, status, output, startedAt, endedAt: clock.now() }
}

/** The first line of a tool's error: what the model needs, without a stack. */
function describeFailure(error: unknown): string {
  let message: string
  try {
    message = String(error instanceof Error ? error.message : error)
  } catch {
    message = 'it threw what cannot be shown'
  }
  return `the tool failed: ${(message.split('\n', 1)[0] ?? '').slice(0, 500)}`
}

/**
 * Runs calls side by side, at most `parallel` at once, and hands their results to `take` in batches: those that ended
 * while it was storing the batch before. Rejects with the abort reason after the last result that is known. Calls that
 * still run when `take` rejects are aborted.
 */
export async function executeCalls(
  calls: readonly ExecuteInput[],
  parallel: number,
  signal: AbortSignal,
  take: (batch: readonly RanCall[]) => Promise<unknown> | undefined,
): Promise<void> {
  // Most steps have no more calls than may run at once: there is nothing to queue then.
  const queue = calls.length > parallel ? new PQueue({ concurrency: parallel }) : null
  const running = new RunningCalls()
  const stop = () => running.stop(signal.reason)
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  let ended: RanCall[] = []
  let failure: { readonly reason: unknown } | undefined
  let wake = () => {}
  for (const call of calls) {
    const run = queue ? queue.add(() => executeCall(call, running)) : executeCall(call, running)
    run.then(
      (end) => {
        ended.push(end)
        wake()
      },
      (reason: unknown) => {
        failure ??= { reason }
        wake()
      },
    )
  }
  let open = calls.length
  try {
    while (open > 0) {
      if (ended.length === 0 && !failure) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      const batch = ended
      ended = []
      if (batch.length === 0 && failure) throw failure.reason
      open -= batch.length
      const stored = take(batch)
      if (stored !== undefined) await stored
    }
  } finally {
    signal.removeEventListener('abort', stop)
    queue?.clear()
    if (open > 0) running.stop(new Error('nobody waits for this call any more'))
  }
}
