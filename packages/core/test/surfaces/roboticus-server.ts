import type { Runtime } from '@keelson/core'
import { type RoboticusOptions, roboticus } from '@keelson/core/surfaces/roboticus'
import type { TestRuntime } from '@keelson/core/testing'
import { expect } from 'vitest'
import * as common from './surface-server.ts'

export { assistant, modelName, people, serveOn, until, uuid, weather } from './surface-server.ts'

export const apiKey = 'test-key-0123456789'

interface Credentials {
  /** Null sends none. */
  readonly key?: string | null
}

export type Asked = common.Asked & Credentials

export interface ServerOptions extends common.ServerOptions {
  readonly surface?: RoboticusOptions
}

export interface TestServer extends common.SurfaceServer<Credentials> {
  readonly runtime: TestRuntime
}

/** A runtime behind the framework of this run on a port of its own. */
export async function roboticusServer({ surface, users, ...rest }: ServerOptions): Promise<TestServer> {
  const runtime = await common.testRuntime(rest)
  return { ...(await serve(runtime, surface ?? { apiKey }, users)), runtime }
}

export const serve = (
  runtime: Runtime,
  options: RoboticusOptions,
  users?: common.Users,
): Promise<common.SurfaceServer<Credentials>> =>
  common.serveSurface<Credentials>(runtime, roboticus(options), users, ({ key = apiKey }) =>
    key === null ? {} : { 'x-api-key': key },
  )

export const sqliteTime = expect.stringMatching(/^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$/)
export const rfcTime = expect.stringMatching(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/)
