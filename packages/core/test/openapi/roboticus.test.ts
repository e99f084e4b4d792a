import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { defineTool } from '@keelson/core'
import { routesOf } from '@keelson/core/http'
import { openapiOf } from '@keelson/core/openapi'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { callTool, say, scriptedModel } from '@keelson/core/testing'
import openapiTypes, { astToString } from 'openapi-typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { apiKey, assistant, roboticusServer } from '../surfaces/roboticus-server.ts'
import { callEverything } from './client/calls.ts'
import { lint } from './lint.ts'

const root = join(import.meta.dirname, '../../../..')
const mounts = [{ prefix: '/', surface: roboticus({ apiKey, providerFailureReply: 'sorry' }) }]
const document = openapiOf(mounts, { title: 'Roboticus', version: '1.2.3' })

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    operation,
  })),
)

describe('the document of the roboticus surface', () => {
  test('has no error that a linter finds', async () => {
    expect(await lint(document)).toEqual([])
  })

  test('names every mounted route and nothing else', () => {
    const mounted = routesOf(mounts).map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
    expect(operations.map(({ name }) => name).sort()).toEqual([...mounted].sort())
  })

  test('gives every operation a name of its own', () => {
    const names = operations.map(({ operation }) => operation.operationId)
    expect(new Set(names).size).toBe(names.length)
    expect(names).toContain('getApiSessionsByIdMessages')
  })

  test('says who may call what', () => {
    const security = Object.fromEntries(operations.map(({ name, operation }) => [name, operation.security]))
    expect(security['GET /api/health']).toEqual([])
    expect(security['GET /api/sessions']).toEqual([{ apiKey: [] }, { bearer: [] }])
    expect(security['GET /ws']).toEqual([{ apiKey: [] }, { bearer: [] }, { ticket: [] }])
    expect(document.components.securitySchemes).toMatchObject({
      apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      bearer: { type: 'http', scheme: 'bearer' },
      ticket: { type: 'apiKey', in: 'query', name: 'ticket' },
    })
  })

  test('marks what the system serves beyond its own document', () => {
    const beyond = operations.filter(({ operation }) => operation['x-beyond-document']).map(({ name }) => name)
    expect(beyond).toContain('POST /api/ws-ticket')
    expect(beyond).not.toContain('GET /ws')
  })

  test('holds nothing of what the surface was configured with', () => {
    expect(JSON.stringify(document)).not.toMatch(new RegExp(`${apiKey}|sorry`))
  })
})

describe('types made from it', () => {
  let folder: string
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'keelson-openapi-'))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir')
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    const types = await openapiTypes(JSON.parse(JSON.stringify(document)))
    writeFileSync(join(folder, 'paths.ts'), astToString(types))
    copyFileSync(join(import.meta.dirname, 'client/calls.ts'), join(folder, 'calls.ts'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  /** What the compiler says of a file beside the types: its error codes. */
  async function compile(file: string): Promise<readonly string[]> {
    const compilerOptions = {
      target: 'es2023',
      lib: ['es2024', 'dom', 'dom.iterable'],
      module: 'nodenext',
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      allowImportingTsExtensions: true,
      skipLibCheck: true,
      noEmit: true,
      types: [],
    }
    const config = join(folder, `${file}.json`)
    writeFileSync(config, JSON.stringify({ compilerOptions, files: [file, 'paths.ts'] }))
    const compiler = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = await promisify(execFile)(process.execPath, [compiler, '-p', config, '--pretty', 'false']).catch(
      (error: { stdout: string }) => error,
    )
    return stdout.split('\n').filter((line) => line !== '')
  }

  test('compile, and so does a client that uses every route', async () => {
    expect(await compile('calls.ts')).toEqual([])
  }, 120_000)

  test('refuse wrong paths, bodies and readings of answers', async () => {
    writeFileSync(
      join(folder, 'wrong.ts'),
      [
        "import createClient from 'openapi-fetch'",
        "import type { paths } from './paths.ts'",
        "const client = createClient<paths>({ baseUrl: '' })",
        "await client.GET('/api/nothing')",
        "await client.POST('/api/agent/message', { body: { content: 1 } })",
        "await client.POST('/api/agent/message', { body: {} })",
        "await client.GET('/api/sessions/{id}', { params: { path: {} } })",
        "const { data } = await client.GET('/api/health')",
        'export const version: number | undefined = data?.version',
      ].join('\n'),
    )
    const lines = (await compile('wrong.ts')).flatMap((line) => /wrong\.ts\((\d+),/.exec(line)?.[1] ?? [])
    expect([...new Set(lines)]).toEqual(['4', '5', '6', '7', '9'])
  }, 120_000)
})

test('a typed client can call every route of a server', async () => {
  const book = defineTool({
    name: 'book',
    description: 'Books a room',
    input: z.object({ room: z.string() }),
    risk: 'caution',
    approval: 'always',
    execute: () => 'booked',
  })
  const model = scriptedModel(
    [[callTool('book', { room: 'garden' }), callTool('book', { room: 'tower' })], say('I asked for both.')],
    { otherwise: say('All is well.') },
  )
  await using server = await roboticusServer({ model, agents: [assistant({ tools: [book] })] })
  const called = new Map<string, number>()
  const results = await callEverything({ baseUrl: server.origin, apiKey }, (method, path, status) => {
    if (!called.has(`${method} ${path}`)) called.set(`${method} ${path}`, status)
  })
  expect([...called.keys()].sort()).toEqual(operations.map(({ name }) => name).sort())
  for (const { name, operation } of operations) {
    expect(operation.responses, name).toHaveProperty(String(called.get(name)))
  }
  expect(results).toEqual({
    version: expect.any(String),
    config: {
      keySource: 'env',
      updated: true,
      sections: ['server', 'a2a', 'wallet'],
      failed: null,
      entry: 'openai_api_key',
      removed: true,
    },
    state: 'running',
    cost: 0,
    streamed: expect.stringContaining('stream_end'),
    appended: expect.any(String),
    role: 'user',
    named: expect.any(Number),
    sessions: 1,
    nickname: expect.any(String),
    approved: 'Approved',
    denied: 'Denied',
    models: 1,
    selections: expect.any(Number),
    breaker: [true, 'closed', 'closed'],
    turns: expect.any(Number),
    answered: 'openai/gpt-5-mini',
    budget: 123_904,
    tools: 2,
    selected: 'openai/gpt-5-mini',
    tokensIn: 10,
    expiresIn: 30,
    socket: 426,
    refusal: expect.any(String),
  })
})
