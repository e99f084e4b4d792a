import { expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { type QueryRecord, route, type Surface } from '../../src/http/index.ts'

interface Client {
  sessions: { list(limit: number): string[] }
}

const on = route<Client>()

const routes = [
  on({
    method: 'POST',
    path: '/api/sessions/:id/turns/:turn',
    section: 'Sessions',
    summary: 'Adds to a turn',
    query: z.object({ limit: z.coerce.number().default(10) }),
    body: z.object({ text: z.string(), tags: z.array(z.string()).optional() }),
    response: z.object({ id: z.string() }),
    handle({ client, params, query, body }) {
      expectTypeOf(params).toEqualTypeOf<{ readonly id: string; readonly turn: string }>()
      expectTypeOf(query).toEqualTypeOf<{ limit: number }>()
      expectTypeOf(body).toEqualTypeOf<{ text: string; tags?: string[] | undefined }>()
      return { json: { id: params.id, rows: client.sessions.list(query.limit) } }
    },
  }),
  on({
    method: 'GET',
    path: '/api/health',
    section: 'Health',
    summary: 'Says that it is there',
    open: true,
    response: z.object({}),
    handle: async ({ query, body, params }) => {
      expectTypeOf(query).toEqualTypeOf<QueryRecord>()
      expectTypeOf(body).toEqualTypeOf<undefined>()
      // biome-ignore lint/complexity/noBannedTypes: exactly the type of no parameters
      expectTypeOf(params).toEqualTypeOf<{}>()
      return { empty: true }
    },
  }),
]

it('routes with types of their own make one list of a surface', () => {
  expectTypeOf(routes).toExtend<Surface<Client>['routes']>()
  expect(routes.map(({ path }) => path)).toEqual(['/api/sessions/:id/turns/:turn', '/api/health'])
})
