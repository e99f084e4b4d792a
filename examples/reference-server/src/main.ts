import { isKeelsonError } from '@keelson/core'
import { ConfigError, readConfig } from './config.ts'
import { startServer } from './server.ts'

/** One line, for people. The cause is named by its class alone: its text may hold what a provider was sent. */
function lineOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const code = isKeelsonError(error) ? `${error.code}: ` : ''
  return `${code}${text.split('\n', 1)[0]}`
}

async function main(): Promise<void> {
  const config = readConfig(process.env)
  const server = await startServer(config, (error, where) => console.error(`error in ${where}: ${lineOf(error)}`))

  console.log(`Keelson listens on ${server.url}`)
  for (const { prefix, surface } of server.mounts) console.log(`  ${prefix.padEnd(12)} ${surface}`)
  const { auth, database, model, notes } = config
  console.log(`  model        ${model}${model.startsWith('demo/') ? ' (no real model; set OPENAI_API_KEY for one)' : ''}`)
  console.log(`  database     ${database}`)
  console.log(`  notes        ${notes}`)
  console.log(`  callers      ${auth === 'loopback' ? 'this machine, without a key' : 'with the key'}`)

  let stopping = false
  const stop = () => {
    if (stopping) process.exit(1)
    stopping = true
    console.log('stopping; a second signal stops at once')
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(lineOf(error))
        process.exit(1)
      },
    )
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}

main().catch((error: unknown) => {
  console.error(lineOf(error))
  process.exit(error instanceof ConfigError ? 2 : 1)
})
