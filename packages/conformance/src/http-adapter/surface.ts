import { createHash } from 'node:crypto'
import {
  type Answer,
  answerEvents,
  defineErrors,
  type Principal,
  route,
  type Surface,
  statusOf,
} from '@keelson/core/http'

/** What the kit's runtime hands to a route. */
export interface KitClient {
  readonly subject: string | null
}

/** What happened on the server, for the tests to wait for and look at. */
export function createProbe() {
  const happened = new Map<string, { promise: Promise<void>; resolve: () => void }>()
  const event = (name: string) => {
    const known = happened.get(name)
    if (known) return known
    let resolve: () => void = () => {}
    const promise = new Promise<void>((fulfil) => {
      resolve = fulfil
    })
    const made = { promise, resolve }
    happened.set(name, made)
    return made
  }
  return {
    starts: 0,
    /** Bytes that the flood of a name has handed over. */
    flooded: new Map<string, number>(),
    reported: [] as { error: unknown; where: string }[],
    tell: (name: string) => event(name).resolve(),
    until: (name: string) => event(name).promise,
  }
}

export type Probe = ReturnType<typeof createProbe>

export const kitPrincipal = (subject: string): Principal => ({
  tenant: 'kit',
  subject,
  roles: [],
  via: 'kit',
  ambient: false,
})

export const bodyLimit = 32 * 1024
export const rawLimit = 2 * 1024 * 1024
export const floodLimit = 64 * 1024 * 1024

const kitErrors = defineErrors({ TEAPOT: { kind: 'conflict', message: 'a teapot' } })

type Schema = Surface<KitClient>['routes'][number]['response']

const anything: Schema = { '~standard': { version: 1, vendor: 'kit', validate: (value) => ({ value }) } }
const anObject: Schema = {
  '~standard': {
    version: 1,
    vendor: 'kit',
    validate: (value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? { value }
        : { issues: [{ message: 'must be an object', path: [] }] },
  },
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** A small API with one route for each thing an adapter can get wrong. Bearer tokens are names. */
export function kitSurface(probe: Probe): Surface<KitClient> {
  const on = route<KitClient>()
  const common = { section: 'kit', summary: 'kit', response: anything } as const
  return {
    id: 'kit',
    bodyLimit,
    headers: { 'X-Kit': 'yes', Vary: 'X-Kit' },
    authenticate(request) {
      const name = /^Bearer (\w+)$/.exec(request.header('authorization') ?? '')?.[1]
      return name === undefined ? null : kitPrincipal(name)
    },
    encodeError: (error) => ({
      status: statusOf(error),
      body: { kit: error.code, message: error.message },
    }),
    routes: [
      on({ ...common, method: 'GET', path: '/me', handle: ({ client }) => ({ json: client }) }),
      on({ ...common, method: 'GET', path: '/open', open: true, handle: ({ client }) => ({ json: client }) }),
      on({
        ...common,
        method: 'GET',
        path: '/things/:id',
        handle: ({ params, query }) => ({ json: { id: params.id, query } }),
      }),
      on({ ...common, method: 'GET', path: '/things/special', handle: () => ({ json: { special: true } }) }),
      on({ ...common, method: 'DELETE', path: '/things/:id', handle: () => ({ empty: true }) }),
      on({
        ...common,
        method: 'POST',
        path: '/echo',
        body: anObject,
        handle: ({ body }) => ({ json: { body }, status: 201 }),
      }),
      on({
        ...common,
        method: 'POST',
        path: '/optional',
        body: anObject,
        bodyOptional: true,
        handle: ({ body }) => ({ json: { body } }),
      }),
      on({
        ...common,
        method: 'POST',
        path: '/raw',
        async handle({ request }) {
          const bytes = await request.bytes(rawLimit)
          return { json: { length: bytes.byteLength, sha256: createHash('sha256').update(bytes).digest('hex') } }
        },
      }),
      on({
        ...common,
        method: 'POST',
        path: '/abandoned/:id',
        async handle({ request, params }) {
          request.signal.addEventListener('abort', () => probe.tell(`signal ${params.id}`))
          probe.tell(`reading ${params.id}`)
          try {
            await request.bytes(rawLimit)
          } catch (error) {
            probe.tell(`rejected ${params.id}`)
            throw error
          }
          return { empty: true }
        },
      }),
      on({
        ...common,
        method: 'GET',
        path: '/fail',
        handle: () => Promise.reject(new Error('the password is hunter2')),
      }),
      on({ ...common, method: 'GET', path: '/teapot', handle: () => Promise.reject(kitErrors.TEAPOT()) }),
      on({
        ...common,
        method: 'GET',
        path: '/text',
        handle: () => ({ text: 'caf\u00e9', type: 'text/plain; charset=utf-8', headers: { 'X-Own': '1' } }),
      }),
      on({
        ...common,
        method: 'GET',
        path: '/events/:count',
        handle: ({ params }) =>
          answerEvents(async ({ send }) => {
            for (let n = 0; n < Number(params.count); n += 1) await send({ id: String(n), data: `event\n${n}` })
          }),
      }),
      on({
        ...common,
        method: 'GET',
        path: '/broken',
        handle: () =>
          answerEvents(async ({ send }) => {
            await send({ data: 'first' })
            throw new Error('broken in the middle')
          }),
      }),
      on({ ...common, method: 'GET', path: '/endless/:id', handle: (call) => endless(probe, call) }),
      on({ ...common, method: 'GET', path: '/flood/:id', handle: ({ params }) => flood(probe, params.id) }),
    ],
  }
}

function endless(
  probe: Probe,
  { params: { id }, request }: { params: { id: string }; request: { signal: AbortSignal } },
): Answer {
  request.signal.addEventListener('abort', () => probe.tell(`signal ${id}`))
  return answerEvents(async ({ send, signal }) => {
    for (let n = 0; !signal.aborted; n += 1) {
      await send({ data: String(n) })
      await pause(2)
    }
    probe.tell(`ended ${id}`)
  })
}

/** Writes as much as it is allowed to, and waits when it is told to. */
function flood(probe: Probe, id: string): Answer {
  const chunk = 'x'.repeat(64 * 1024)
  return {
    type: 'text/plain',
    async stream(sink) {
      let handed = 0
      while (handed < floodLimit && !sink.signal.aborted) {
        const full = sink.write(chunk)
        handed += chunk.length
        probe.flooded.set(id, handed)
        if (full === undefined) continue
        probe.tell(`full ${id}`)
        await full
      }
      probe.tell(`${sink.signal.aborted ? 'left' : 'done'} ${id}`)
    },
  }
}
