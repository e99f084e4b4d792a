import type { Metrics } from './job.ts'

/** Wall time and CPU time of this thread for some work, in microseconds per unit of it. */
export async function timed(
  units: number,
  work: () => Promise<unknown>,
): Promise<Metrics & { us: number; cpuUs: number }> {
  const cpu = process.threadCpuUsage()
  const begin = performance.now()
  await work()
  const us = (performance.now() - begin) * 1_000
  const { user, system } = process.threadCpuUsage(cpu)
  return { us: us / units, cpuUs: (user + system) / units }
}

/** How long nothing else could be done on this thread while some work was, at the longest, in milliseconds. */
export async function longestStretch(work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let last = performance.now()
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  const timer = setInterval(look, 1)
  await work()
  clearInterval(timer)
  look()
  return longest
}
