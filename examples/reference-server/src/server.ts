import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSockets, webSockets } from '@keelson/adapter-express/websocket'
import {
  type Client,
  createRuntime,
  defineAgent,
  isKeelsonError,
  isModelFailure,
  type Runtime,
  singleOwner,
} from '@keelson/core'
import type { Mount, MountRules } from '@keelson/core/http'
import { mcpConnectors } from '@keelson/core/mcp'
import { genaiPrices } from '@keelson/core/prices/genai'
import type { Framework, ServerConfig } from './config.ts'
import { openDatabase } from './database.ts'
import { type Guard, localOnly } from './local-only.ts'
import { documentationOf, mountsOf } from './surfaces.ts'
import { assistantTools } from './tools.ts'
import { firstModel, providersOf } from './vendors.ts'

export interface RunningServer {
  /** Where it listens, e.g. `http://127.0.0.1:3210`. */
  readonly url: string
  /** Which model answers: `provider/model`. */
  readonly model: string
  /** Takes no more requests, ends streams, leaves running turns to the next start. Safe to call twice. */
  close(): Promise<void>
}

const instructions =
  'You are a helpful assistant. Use the calculator for arithmetic and the clock for the date and time; never guess them. Search the notes when the user asks for something that may be written there, and write one only when the user asks you to keep something.'

/** How long answers may take to reach their callers after the turns have stopped. */
const graceMs = 2_000

/**
 * Opens the database and listens. Rejects with what stood in the way, and leaves nothing open then. `log` is given one
 * line per error.
 */
export async function startServer(config: ServerConfig, log: (line: string) => void): Promise<RunningServer> {
  const providers = providersOf(config.vendors)
  const model = config.model ?? (await firstModel(providers))
  const { store, end } = await openDatabase(config.database)
  const runtime = createRuntime({
    store,
    providers,
    agents: [
      defineAgent({
        id: 'assistant',
        name: 'Assistant',
        instructions,
        models: [model],
        tools: assistantTools,
        connectors: '*',
        // The demo model would take what is recalled for what the user has said.
        ...(model === 'demo/demo' ? {} : { recall: { notes: true } }),
      }),
    ],
    prices: genaiPrices(),
    connectors: mcpConnectors(),
    allowProcesses: config.allowProcesses,
    ...(config.vaultKey === undefined ? {} : { vault: { key: config.vaultKey } }),
    onError: (error, where) => log(lineOf(error, where)),
  })
  try {
    await runtime.start()
    // Not waited for: what vendors list is good to know, and nothing depends on it.
    runtime
      .as(singleOwner('start'))
      .models.discover()
      .catch((error) => log(lineOf(error, 'models')))
    const trustLoopback = config.auth === 'loopback'
    const { apiKey, host, password } = config
    const mounted = mountsOf(config.surfaces, { apiKey, host, password, trustLoopback })
    const { version } = await runtime.as(null).system.health()
    const guard = trustLoopback ? localOnly(config.host) : () => null
    const documented = [...mounted.mounts, ...documentationOf(mounted, version)]
    const server = createServer(await listenerOf(config.framework, runtime, documented, mounted.rules, guard))
    const sockets = webSockets(server, runtime, {
      mounts: mounted.mounts,
      ...mounted.rules,
      // The app does not see these requests.
      authenticate: (request) => (guard(request) === null ? undefined : null),
    })
    const url = await listen(server, config)
    let closing: Promise<void> | undefined
    return {
      url,
      model,
      close() {
        closing ??= shutDown(server, sockets, runtime).finally(end)
        return closing
      },
    }
  } catch (error) {
    await runtime.stop().finally(end)
    throw error
  }
}

/** The app of the chosen framework; the other one is not loaded. */
async function listenerOf(
  framework: Framework,
  runtime: Runtime,
  mounts: readonly Mount<Client>[],
  rules: MountRules,
  guard: Guard,
): Promise<RequestListener> {
  if (framework === 'fastify') {
    const { fastifyHost } = await import('./fastify-host.ts')
    return fastifyHost(runtime, mounts, rules, guard)
  }
  const { expressHost } = await import('./express-host.ts')
  return expressHost(runtime, mounts, rules, guard)
}

function listen(server: Server, { host, port }: ServerConfig): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      const { port: actual } = server.address() as AddressInfo
      resolve(`http://${host.includes(':') ? `[${host}]` : host}:${actual}`)
    })
  })
}

async function shutDown(server: Server, sockets: WebSockets, runtime: Runtime): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  await Promise.all([runtime.stop(), sockets.close()])
  const cut = setTimeout(() => server.closeAllConnections(), graceMs)
  await closed
  clearInterval(idle)
  clearTimeout(cut)
}

/** One line: what, where, and the message. The causes of errors may quote what callers sent, and are left out. */
export function lineOf(error: unknown, where: string): string {
  const code = isKeelsonError(error)
    ? error.code
    : isModelFailure(error)
      ? `MODEL_FAILED (${error.failure})`
      : error instanceof Error
        ? error.name
        : 'Error'
  const message = error instanceof Error ? error.message : String(error)
  return `${code} in ${where}: ${message}`.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, 500)
}
