import { createServer, type RequestListener, type Server, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { keelson as express } from '@keelson/adapter-express'
import { keelson as fastify } from '@keelson/adapter-fastify'
import { type AgentDefinition, defineAgent, defineTool, type Principal, type Runtime } from '@keelson/core'
import { type MycelosOptions, mycelos } from '@keelson/core/surfaces/mycelos'
import { createTestRuntime, type ScriptedModel, type TestRuntime, type TestRuntimeOptions } from '@keelson/core/testing'
import Express from 'express'
import Fastify from 'fastify'
import { expect } from 'vitest'
import { z } from 'zod'
import { type ChatEvent, chatEvent } from '../../src/surfaces/mycelos/chat-events.ts'

export const password = 'test-password-0123'
export const modelName = 'openai/gpt-5-mini'

export const weather = defineTool({
  name: 'weather',
  description: 'Current weather of a city',
  input: z.object({ city: z.string() }),
  risk: 'safe',
  execute: async ({ city }) => ({ city, sky: 'clear' }),
})

export const assistant = (more: Partial<AgentDefinition> = {}): AgentDefinition =>
  defineAgent({
    id: 'assistant',
    name: 'The assistant',
    instructions: 'You help.',
    models: [modelName, 'other/model'],
    tools: [weather],
    ...more,
  })

export interface ServerOptions extends Partial<Omit<TestRuntimeOptions, 'model'>> {
  readonly model: ScriptedModel
  readonly surface?: MycelosOptions
  /** Who a request is, by its `x-test-user` header, in place of the surface's own scheme. */
  readonly users?: Readonly<Record<string, Principal>>
}

export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: an answer is what the test says it is
  readonly json: any
}

export interface Asked {
  /** Sent as JSON; a string or bytes as they are. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as Basic credentials. Null sends none. */
  readonly password?: string | null
  readonly user?: string
}

export interface TestServer extends AsyncDisposable {
  readonly origin: string
  readonly port: number
  readonly server: Server
  readonly runtime: TestRuntime
  readonly surface: ReturnType<typeof mycelos>
  ask(method: string, path: string, asked?: Asked): Promise<Answered>
}

/** A runtime behind the framework of this run on a port of its own. */
export async function mycelosServer({ model, surface: options, users, ...rest }: ServerOptions): Promise<TestServer> {
  const runtime = await createTestRuntime({
    agents: [assistant()],
    model,
    ...rest,
    limits: { backoffMs: 1, attempts: 1, ...rest.limits },
  })
  return { ...(await serve(runtime, options ?? { password }, users)), runtime }
}

export async function serve(
  runtime: Runtime,
  options: MycelosOptions,
  users?: Readonly<Record<string, Principal>>,
): Promise<Omit<TestServer, 'runtime'>> {
  const surface = mycelos(options)
  const server = createServer(await listenerOf(runtime, surface, users))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    server,
    surface,
    async ask(method, path, asked = {}) {
      const answer = await exchange(port, method, path, asked)
      if (answer.status === 200 && answer.json !== undefined) checkAgainstSchema(surface, method, path, answer.json)
      return answer
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await closed(server)
      await runtime.stop()
    },
  }
}

let framework: 'express' | 'fastify' = 'express'

/** Chooses the framework of the servers that are made from now on. */
export function serveOn(name: 'express' | 'fastify'): void {
  framework = name
}

async function listenerOf(
  runtime: Runtime,
  surface: ReturnType<typeof mycelos>,
  users: Readonly<Record<string, Principal>> | undefined,
): Promise<RequestListener> {
  const authenticate = ({ headers }: { headers: Readonly<Record<string, unknown>> }) =>
    users?.[String(headers['x-test-user'])] ?? null
  const options = {
    mounts: [{ prefix: '/', surface, exclusive: true }],
    ...(users === undefined ? {} : { authenticate }),
  }
  if (framework === 'express') return Express().use(express(runtime, options))
  const app = Fastify()
  await app.register(fastify(runtime, options))
  await app.ready()
  return app.routing
}

const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()))

/** Every successful answer must be what the route says it answers, with nothing missing and nothing more. */
function checkAgainstSchema(surface: ReturnType<typeof mycelos>, method: string, path: string, json: unknown): void {
  const plain = path.split('?')[0] ?? ''
  const matching = surface.routes.filter(
    (route) => route.method === method && new RegExp(`^${route.path.replace(/:\w+/g, '[^/]+')}$`).test(plain),
  )
  const route = matching.find((candidate) => candidate.path === plain) ?? matching[0]
  expect(route, `${method} ${path} has a route`).toBeDefined()
  const result = route?.response['~standard'].validate(json) as { issues?: unknown }
  expect(result.issues, `${method} ${path} answers its schema`).toBeUndefined()
}

export const basic = (secret: string, name = 'anyone'): string =>
  `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`

/** One request over a connection of its own, written as it is given: `fetch` would tidy it up. */
function exchange(
  port: number,
  method: string,
  path: string,
  { body, headers, password: given = password, user }: Asked,
) {
  const payload =
    body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  const all: Record<string, string> = {
    ...(given === null ? {} : { authorization: basic(given) }),
    ...(user === undefined ? {} : { 'x-test-user': user }),
    ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
    ...headers,
  }
  return new Promise<Answered>((resolve, reject) => {
    const outgoing = send({ port, host: '127.0.0.1', method, path, headers: all, agent: false }, (response) => {
      response.setEncoding('utf8')
      let text = ''
      response.on('data', (piece: string) => {
        text += piece
      })
      response.on('error', reject)
      response.on('end', () => {
        const isJson = response.headers['content-type'] === 'application/json' && text !== ''
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: isJson ? JSON.parse(text) : undefined,
        })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(payload)
  })
}

export const uuid = expect.stringMatching(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
export const rowTime = expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/)
export const recordTime = expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}\+00:00$/)

/** Every event of a chat, checked: a name, one line of JSON, nothing else. */
export function eventsOf(text: string): ChatEvent[] {
  expect(text.endsWith('\n\n')).toBe(true)
  return text
    .slice(0, -2)
    .split('\n\n')
    .map((block) => {
      const [, event, data] = /^event: ([a-z-]+)\ndata: ([^\r\n]*)$/.exec(block) ?? []
      expect(data, `${JSON.stringify(block)} is an event and a data line`).toBeDefined()
      return chatEvent.parse({ event, data: JSON.parse(data ?? '') })
    })
}

/** Sends a chat message and reads its events. */
export async function chat(server: TestServer, body: object | string): Promise<ChatEvent[]> {
  const got = await server.ask('POST', '/api/chat', { body: typeof body === 'string' ? { message: body } : body })
  expect([got.status, got.headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8'])
  return eventsOf(got.text)
}

export const namesOf = (events: readonly ChatEvent[]): string[] => events.map(({ event }) => event)

/** The data of the only event of a name. */
export function dataOf<Name extends ChatEvent['event']>(events: readonly ChatEvent[], name: Name) {
  const found = events.filter(({ event }) => event === name)
  expect(found, `one ${name} among ${namesOf(events)}`).toHaveLength(1)
  return found[0]?.data as Extract<ChatEvent, { event: Name }>['data']
}

/** Resolves when the condition holds; fails after a time no machine is too slow for. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 20_000
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
