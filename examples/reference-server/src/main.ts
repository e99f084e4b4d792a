import { isKeelsonError } from '@keelson/core'
import { readConfig, type ServerConfig } from './config.ts'
import { nameOfDatabase } from './database.ts'
import { lineOf, type RunningServer, startServer } from './server.ts'
import { placeOf } from './vendors.ts'

const say = (line: string): boolean => process.stdout.write(`${line}\n`)
const complain = (line: string): boolean => process.stderr.write(`${line}\n`)

function configOrExit(): ServerConfig {
  try {
    return readConfig(process.env)
  } catch (error) {
    complain(`keelson: ${error instanceof Error ? error.message : String(error)}`)
    process.exit(2)
  }
}

/** What a person should read of an error at start. */
function reasonOf(error: unknown, { host, port }: ServerConfig): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'EADDRINUSE') return `port ${port} of ${host} is in use; choose another one with PORT`
  if (code === 'EACCES') return `port ${port} of ${host} may not be used; choose another one with PORT`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return `${host} is no address of this machine; correct HOST`
  return isKeelsonError(error) && error.kind !== 'internal' ? error.message : lineOf(error, 'start')
}

function describe(
  { auth, database, surfaces, vendors }: ServerConfig,
  { model, url }: RunningServer,
): readonly string[] {
  return [
    `Keelson listens on ${url}`,
    `  mounts    ${surfaces.map((name) => `${name} at / and /${name}`).join(', ')}`,
    model === 'demo/demo'
      ? '  model     demo/demo: not a real model; set OPENAI_API_KEY, OPENAI_BASE_URL or OLLAMA_HOST for one'
      : `  model     ${model} at ${placeOf(model, vendors)}`,
    `  database  ${nameOfDatabase(database)}`,
    auth === 'loopback'
      ? '  access    programs of this machine, without a key'
      : '  access    whoever has the API key (x-api-key, or Authorization: Bearer)',
  ]
}

/** A Ctrl-C comes twice: from the terminal, and again from npm. */
const echoMs = 500

function stopOnSignal(starting: Promise<RunningServer>): void {
  let stoppingSince: number | undefined
  const stop = () => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince > echoMs) process.exit(1)
      return
    }
    stoppingSince = performance.now()
    starting
      .then((server) => server.close())
      .then(
        () => process.exit(0),
        (error) => {
          complain(lineOf(error, 'stop'))
          process.exit(1)
        },
      )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

const config = configOrExit()
try {
  const starting = startServer(config, complain)
  stopOnSignal(starting)
  for (const line of describe(config, await starting)) say(line)
} catch (error) {
  complain(`keelson: ${reasonOf(error, config)}`)
  process.exit(1)
}
