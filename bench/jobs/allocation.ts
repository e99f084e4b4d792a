import { PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { getHeapStatistics } from 'node:v8'
import type { StartJob } from '../harness/job.ts'
import { makeScript, userMessage } from '../harness/script.ts'
import { createSubject } from '../subjects/subject.ts'
import { checkTurn } from './agent.ts'

/**
 * Bytes a plain turn allocates, and bytes it leaves behind. Needs `--expose-gc`; without a collection between the two
 * readings, for which the young generation has to be large, what is read is what was allocated. Option: `turns`.
 */
export const start: StartJob = async (name, { turns = 60 }) => {
  const script = makeScript(1, 0)
  const subject = await createSubject(name, script)
  for (let turn = 0; turn < 200; turn += 1) await checkTurn(subject, script)
  let collections = 0
  new PerformanceObserver((list) => {
    collections += list.getEntries().length
  }).observe({ entryTypes: ['gc'] })
  const collect = async () => {
    await sleep(60)
    globalThis.gc?.()
    globalThis.gc?.()
    await sleep(20)
  }
  return {
    async round() {
      await collect()
      const collected = collections
      const before = getHeapStatistics().used_heap_size
      for (let turn = 0; turn < Number(turns); turn += 1) await subject.turn(userMessage)
      const after = getHeapStatistics().used_heap_size
      await sleep(60)
      const clean = collections === collected
      await collect()
      const left = getHeapStatistics().used_heap_size
      return {
        ...(clean ? { allocatedKib: (after - before) / Number(turns) / 1_024 } : {}),
        keptBytes: (left - before) / Number(turns),
      }
    },
  }
}
