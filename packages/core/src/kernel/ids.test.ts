import { expect, test } from 'vitest'
import { newUuid } from './ids.ts'

test('identifiers are random UUIDs, each another one', () => {
  const made = Array.from({ length: 10_000 }, newUuid)
  expect(new Set(made).size).toBe(made.length)
  for (const id of made) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
  // Every digit that is not fixed takes every value.
  const free = [...'00000000-0000-0000-0000-000000000000'].flatMap((sign, place) =>
    sign === '-' || place === 14 || place === 19 ? [] : place,
  )
  for (const place of free) expect(new Set(made.map((id) => id[place])).size).toBe(16)
})
