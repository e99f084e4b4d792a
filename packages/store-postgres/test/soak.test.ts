import { expect, it } from 'vitest'
import { newSchema } from './postgres-server.ts'
import { usePostgres } from './scene.ts'
import { soak } from './soak.ts'

const server = usePostgres()

it('two instances answer every turn once and in order while one of them is killed again and again', async () => {
  const options = { turns: 120, sessions: 20, kills: 2, leaseMs: 1_500 }
  const { problems, takenOver } = await soak({ url: server().url, schema: newSchema(), ...options })
  expect(problems).toEqual([])
  expect(takenOver).toBeGreaterThanOrEqual(2)
}, 60_000)
