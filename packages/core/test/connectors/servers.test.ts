import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MCPMock } from '@copilotkit/aimock/mcp'
import type { ConnectorDefinition } from '@keelson/core'
import { callTool, say } from '@keelson/core/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openScene, until } from './scene.ts'

const installed = (name: string) =>
  fileURLToPath(new URL('index.js', import.meta.resolve(`@modelcontextprotocol/${name}/dist/index.js`)))

const program = (name: string, args: readonly string[]): ConnectorDefinition => ({
  name,
  transport: { type: 'stdio', command: process.execPath, args, env: [] },
})

const server = (url: string, headers: readonly string[] = []): ConnectorDefinition => ({
  name: 'remote',
  transport: { type: 'http', url, headers },
})

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  return typeof address === 'object' && address ? address.port : 0
}

/** The everything server over streamable HTTP on a port of its own. */
async function everything(port: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [installed('server-everything'), 'streamableHttp'], {
    env: { ...process.env, PORT: String(port) },
    stdio: 'ignore',
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await until(async () =>
    fetch(`http://127.0.0.1:${port}/mcp`).then(
      () => true,
      () => false,
    ),
  )
  return child
}

/** Runs one turn and gives the calls that it made. */
async function callsOf({ client }: Awaited<ReturnType<typeof openScene>>) {
  const turn = client.run('clerk', { message: 'go' })
  await turn.result
  const calls = await client.sessions.toolCalls({ turn: (await turn.accepted).id })
  return calls.map(({ status, output }) => ({ status, output }))
}

describe('the servers of the protocol itself', () => {
  it('everything over stdio: its tools are known and can be called', async () => {
    const scene = await openScene({
      definitions: [program('everything', [installed('server-everything'), 'stdio'])],
      model: [
        [
          callTool('everything__echo', { message: 'ahoy' }),
          callTool('everything__get-sum', { a: 2, b: 40 }),
          callTool('everything__get-tiny-image'),
        ],
        say('done'),
      ],
    })
    expect(await callsOf(scene)).toEqual([
      { status: 'succeeded', output: expect.stringContaining('ahoy') },
      { status: 'succeeded', output: expect.stringContaining('42') },
      { status: 'succeeded', output: expect.stringMatching(/\[image: image\/png, \d+ bytes\]/) },
    ])
  })

  it('memory: what one turn stores, another reads', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'keelson-memory-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const scene = await openScene({
      definitions: [
        {
          name: 'memory',
          transport: {
            type: 'stdio',
            command: process.execPath,
            args: [installed('server-memory')],
            env: ['MEMORY_FILE_PATH'],
          },
        },
      ],
      model: [
        callTool('memory__create_entities', {
          entities: [{ name: 'Keel', entityType: 'beam', observations: ['runs along the bottom'] }],
        }),
        say('stored'),
        callTool('memory__search_nodes', { query: 'Keel' }),
        say('found'),
      ],
    })
    const value = JSON.stringify({ MEMORY_FILE_PATH: join(folder, 'memory.json') })
    await scene.client.vault.put({ name: 'connector/memory', value })
    expect(await callsOf(scene)).toMatchObject([{ status: 'succeeded' }])
    expect(await callsOf(scene)).toEqual([
      { status: 'succeeded', output: expect.stringContaining('runs along the bottom') },
    ])
  })

  it('filesystem: reads within its folder, and its refusal is told to the model', async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'keelson-files-')))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    writeFileSync(join(folder, 'log.txt'), 'fair wind')
    const scene = await openScene({
      definitions: [program('files', [installed('server-filesystem'), folder])],
      model: [
        [
          callTool('files__read_text_file', { path: join(folder, 'log.txt') }),
          callTool('files__read_text_file', { path: '/etc/hostname' }),
        ],
        say('done'),
      ],
    })
    expect(await callsOf(scene)).toEqual([
      { status: 'succeeded', output: expect.stringContaining('fair wind') },
      { status: 'failed', output: expect.stringContaining('Access denied') },
    ])
  })

  it('everything over HTTP: called, killed in mid-call, and connected to again when it is back', async () => {
    const port = await freePort()
    const child = await everything(port)
    const scene = await openScene({
      definitions: [server(`http://127.0.0.1:${port}/mcp`)],
      limits: { attempts: 100_000 },
      model: [
        callTool('remote__get-sum', { a: 20, b: 22 }),
        say('done'),
        callTool('remote__trigger-long-running-operation', { duration: 60, steps: 60 }),
        say('it broke'),
        callTool('remote__echo', { message: 'back' }),
        say('done'),
      ],
    })
    expect(await callsOf(scene)).toEqual([{ status: 'succeeded', output: expect.stringContaining('42') }])

    const broken = callsOf(scene)
    await until(() => scene.scripted.calls.length === 3)
    await new Promise((resolve) => setTimeout(resolve, 300))
    child.kill('SIGKILL')
    expect(await broken).toEqual([{ status: 'failed', output: expect.stringContaining('the tool failed') }])

    await everything(port)
    await until(async () => (await scene.client.connectors.get({ name: 'remote' })).status === 'connected')
    expect(await callsOf(scene)).toEqual([{ status: 'succeeded', output: expect.stringContaining('back') }])
  })
})

describe('a server over HTTP', () => {
  const mock = async () => {
    const made = new MCPMock()
    made.addTool({
      name: 'weather',
      description: 'Tells the weather',
      inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    })
    made.onToolCall('weather', (args: unknown) => `sun over ${(args as { city: string }).city}`)
    const url = await made.start()
    onTestFinished(() => made.stop())
    return { url, mock: made }
  }

  it('is called with its tools', async () => {
    const { url } = await mock()
    const scene = await openScene({
      definitions: [server(url)],
      model: [callTool('remote__weather', { city: 'Delft' }), say('done')],
    })
    expect(await callsOf(scene)).toEqual([{ status: 'succeeded', output: 'sun over Delft' }])
  })

  it('gets its headers from the vault', async () => {
    const { url, mock: made } = await mock()
    const scene = await openScene({ definitions: [server(url, ['authorization'])] })
    await scene.client.vault.put({ name: 'connector/remote', value: '{"authorization":"Bearer s3cr3t"}' })
    await scene.client.connectors.start({ name: 'remote' })
    expect(made.getSessions().size).toBe(1)
    expect(JSON.stringify([await scene.client.connectors.list(), scene.reported])).not.toContain('s3cr3t')
  })

  it('that refuses, or is not there, says so', async () => {
    const port = await freePort()
    const scene = await openScene({ definitions: [server(`http://127.0.0.1:${port}/mcp`)] })
    await expect(scene.client.connectors.start({ name: 'remote' })).rejects.toThrow(
      expect.objectContaining({
        code: 'CONNECTOR_FAILED',
        message: expect.stringContaining('the connection was refused'),
      }),
    )
    expect(await scene.client.connectors.list()).toMatchObject([{ operationalState: 'failing', toolCount: 0 }])
  })
})
