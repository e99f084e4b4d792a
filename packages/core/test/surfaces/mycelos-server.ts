import type { Runtime } from '@keelson/core'
import { type MycelosOptions, mycelos } from '@keelson/core/surfaces/mycelos'
import type { TestRuntime } from '@keelson/core/testing'
import { expect } from 'vitest'
import { type ChatEvent, chatEvent } from '../../src/surfaces/mycelos/chat-events.ts'
import * as common from './surface-server.ts'

export { assistant, modelName, serveOn, until, uuid } from './surface-server.ts'

export const password = 'test-password-0123'

interface Credentials {
  /** Sent as Basic credentials. Null sends none. */
  readonly password?: string | null
}

export interface ServerOptions extends common.ServerOptions {
  readonly surface?: MycelosOptions
}

export interface TestServer extends common.SurfaceServer<Credentials> {
  readonly runtime: TestRuntime
}

/** A runtime behind the framework of this run on a port of its own. */
export async function mycelosServer({ surface, users, ...rest }: ServerOptions): Promise<TestServer> {
  const runtime = await common.testRuntime(rest)
  return { ...(await serve(runtime, surface ?? { password }, users)), runtime }
}

export const serve = (
  runtime: Runtime,
  options: MycelosOptions,
  users?: common.Users,
): Promise<common.SurfaceServer<Credentials>> =>
  common.serveSurface<Credentials>(runtime, mycelos(options), users, ({ password: given = password }) =>
    given === null ? {} : { authorization: basic(given) },
  )

export const basic = (secret: string, name = 'anyone'): string =>
  `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`

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
export async function chat(server: Pick<TestServer, 'ask'>, body: object | string): Promise<ChatEvent[]> {
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
