import { expect, it } from 'vitest'
import { inspect, usePostgres } from './postgres-server.ts'
const server = usePostgres()
it('answers', async () => {
  expect(await inspect(server().url, 'select version()')).toEqual([])
  await server().restart?.()
})
