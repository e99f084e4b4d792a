import { createServer, type RequestListener, type Server, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { keelson as express } from '@keelson/adapter-express'
import { keelson as fastify } from '@keelson/adapter-fastify'
import { type AgentDefinition, type Client, defineAgent, defineTool, type Principal, type Runtime } from '@keelson/core'
import type { Surface } from '@keelson/core/http'
import { createTestRuntime, type ScriptedModel, type TestRuntime, type TestRuntimeOptions } from '@keelson/core/testing'
import Express from 'express'
import Fastify from 'fastify'
import { expect } from 'vitest'
import { z } from 'zod'

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

export type Users = Readonly<Record<string, Principal>>

const person = (tenant: string, subject: string, roles: readonly string[] = []): Principal => ({
  tenant,
  subject,
  roles,
  via: 'host',
  ambient: false,
})

/** Two subjects and an operator of one tenant, and an operator of another. */
export const people: Users = {
  ann: person('north', 'ann'),
  amy: person('north', 'amy'),
  boss: person('north', 'boss', ['operator']),
  rex: person('south', 'rex', ['operator']),
}

export interface ServerOptions extends Partial<Omit<TestRuntimeOptions, 'model'>> {
  readonly model: ScriptedModel
  /** Who a request is, by its `x-test-user` header, in place of the surface's own scheme. */
  readonly users?: Users
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
  readonly user?: string
}

/** A surface behind the framework of this run on a port of its own. `More` is what else may be said of a request. */
export interface SurfaceServer<More = object> extends AsyncDisposable {
  readonly origin: string
  readonly port: number
  readonly server: Server
  readonly surface: Surface<Client>
  ask(method: string, path: string, asked?: Asked & More): Promise<Answered>
}

export const testRuntime = (options: Omit<ServerOptions, 'users'>): Promise<TestRuntime> =>
  createTestRuntime({ agents: [assistant()], ...options, limits: { backoffMs: 1, attempts: 1, ...options.limits } })

/** `credentials` are the headers that prove the caller, where a request does not say otherwise. */
export async function serveSurface<More>(
  runtime: Runtime,
  surface: Surface<Client>,
  users: Users | undefined,
  credentials: (asked: Partial<More>) => Readonly<Record<string, string>>,
): Promise<SurfaceServer<More>> {
  const server = createServer(await listenerOf(runtime, surface, users))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    server,
    surface,
    async ask(method, path, asked) {
      const answer = await exchange(port, method, path, asked ?? {}, credentials(asked ?? {}))
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
  surface: Surface<Client>,
  users: Users | undefined,
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
function checkAgainstSchema(surface: Surface<Client>, method: string, path: string, json: unknown): void {
  const plain = path.split('?')[0] ?? ''
  const matching = surface.routes.filter(
    (route) => route.method === method && new RegExp(`^${route.path.replace(/:\w+/g, '[^/]+')}$`).test(plain),
  )
  const route = matching.find((candidate) => candidate.path === plain) ?? matching[0]
  expect(route, `${method} ${path} has a route`).toBeDefined()
  const result = route?.response['~standard'].validate(json) as { issues?: unknown }
  expect(result.issues, `${method} ${path} answers its schema`).toBeUndefined()
}

/** One request over a connection of its own, written as it is given: `fetch` would tidy it up. */
function exchange(
  port: number,
  method: string,
  path: string,
  { body, headers, user }: Asked,
  credentials: Readonly<Record<string, string>>,
) {
  const payload =
    body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  const all: Record<string, string> = {
    ...credentials,
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

/** Resolves when the condition holds; fails after a time no machine is too slow for. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 20_000
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
