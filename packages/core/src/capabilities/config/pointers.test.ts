import { describe, expect, it } from 'vitest'
import { createPointers } from './pointers.ts'
import type { ConfigHead } from './store.ts'

/** Pointers over a database in which so many tenants have a configuration. */
async function pointersOf(tenants: number) {
  const headOf = (index: number): ConfigHead => ({ tenant: `t${index}`, active: 1, latest: 1, revision: index + 1 })
  const all = Array.from({ length: tenants }, (_, index) => headOf(index))
  const asked: string[] = []
  const pointers = createPointers(
    {
      heads: async (after, limit) => all.slice(after, after + limit),
      async head(tenant) {
        asked.push(tenant)
        return all[Number(tenant.slice(1))] ?? null
      },
    },
    () => {},
  )
  await pointers.load()
  return { pointers, asked, inMemory: () => all.filter(({ tenant }) => pointers.known(tenant) !== null).length }
}

describe('the pointers of more tenants than memory is for', () => {
  it('are kept of ten thousand, however many are asked for', async () => {
    const { inMemory, pointers } = await pointersOf(12_000)
    expect(inMemory()).toBe(10_000)
    for (let index = 0; index < 12_000; index += 1) {
      expect(await pointers.of(`t${index}`)).toMatchObject({ active: 1, revision: index + 1 })
    }
    expect(inMemory()).toBe(10_000)
  })

  it('are those of the tenants that were asked for last', async () => {
    const { asked, pointers } = await pointersOf(10_001)
    await pointers.of('t1')
    await pointers.of('t0')
    await pointers.of('t1')
    expect(asked).toEqual(['t0'])
    expect(pointers.known('t2')).toBeNull()
  })
})
