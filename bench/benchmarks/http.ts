import { measurements, type Report, target } from '../harness/report.ts'
import { interleave } from '../harness/rounds.ts'
import type { Benchmark } from './benchmark.ts'

export const firstChunk: Benchmark = {
  name: 'first_chunk',
  what: "from the provider's first chunk to an HTTP client, through a surface and Express or Fastify",
  async run(): Promise<Report> {
    const subjects = ['roboticus on Express', 'roboticus on Fastify', 'mycelos on Express', 'mycelos on Fastify']
    const result = await interleave({ job: 'latency', subjects, rounds: 9 })
    const all = measurements(result, 'firstChunkMs', 'ms')
    const targets = subjects.flatMap((subject) =>
      target(all, { subject, metric: 'firstChunkMs', of: 'median', atMost: 2 }),
    )
    return { benchmark: 'first_chunk', measurements: all, targets, failed: result.failed }
  },
}

export const events: Benchmark = {
  name: 'events',
  what: '20 streams at once of 200 events each, beside node:http writing the same',
  async run(): Promise<Report> {
    const result = await interleave({ job: 'events', subjects: ['bare', 'keelson'], rounds: 13 })
    const all = [
      ...measurements(result, 'cpuUs', 'us/event CPU', 'bare'),
      ...measurements(result, 'us', 'us/event', 'bare'),
    ]
    return {
      benchmark: 'events',
      measurements: all,
      targets: target(all, { subject: 'keelson', metric: 'cpuUs', of: 'ratio', atMost: 2.5 }),
      failed: result.failed,
    }
  },
}

export const readers: Benchmark = {
  name: 'readers',
  what: '500 streams whose clients read nothing: memory held for each',
  async run(): Promise<Report> {
    const result = await interleave({ job: 'readers', subjects: ['keelson'], rounds: 3, nodeFlags: ['--expose-gc'] })
    const all = [
      ...measurements(result, 'kibPerReader', 'KiB/reader'),
      ...measurements(result, 'kibAfterwards', 'KiB/reader'),
    ]
    // Of this, node's own buffer of 64 KiB in small pieces is more than half.
    const targets = target(all, { subject: 'keelson', metric: 'kibPerReader', of: 'median', atMost: 400 })
    return { benchmark: 'readers', measurements: all, targets, failed: result.failed }
  },
}

const routesOn = (name: string, framework: string, ours: number): Benchmark => ({
  name,
  what: `CPU of a small JSON route on ${framework}: the host's own with and without us, and ours`,
  async run(): Promise<Report> {
    const [alone, mounted, own] = [
      `${framework}: host alone`,
      `${framework}: host with us`,
      `${framework}: our route`,
    ] as const
    const result = await interleave({ job: 'routes', subjects: [alone, mounted, own], rounds: 15 })
    const all = measurements(result, 'cpuUs', 'us/request CPU', alone)
    return {
      benchmark: name,
      measurements: all,
      targets: [
        ...target(all, { subject: mounted, metric: 'cpuUs', of: 'ratio', atMost: 1.05 }),
        ...target(all, { subject: own, metric: 'cpuUs', of: 'ratio', atMost: ours }),
      ],
      failed: result.failed,
    }
  },
})

export const routes = routesOn('routes', 'Express', 1.2)
export const routesFastify = routesOn('routes_fastify', 'Fastify', 1.3)
