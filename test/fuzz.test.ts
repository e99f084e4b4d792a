import { expect, it } from 'vitest'
import { fuzz } from '../scripts/fuzz/run.ts'

// `npm run fuzz` sends a hundred times as many.
it.each(['express', 'fastify'] as const)(
  'no request is too odd for the reference server on %s',
  async (framework) => {
    const { problems, statuses } = await fuzz({ framework, requests: 600, seed: 42 })
    expect(problems).toEqual([])
    expect(statuses[200]).toBeGreaterThan(100)
    expect(statuses[404]).toBeGreaterThan(10)
  },
  60_000,
)
