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
