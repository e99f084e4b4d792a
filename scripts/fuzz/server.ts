// The reference server as a child process that tells what it keeps in memory: [framework] [database file]
import { readConfig } from '../../examples/reference-server/src/config.ts'
import { startServer } from '../../examples/reference-server/src/server.ts'

const [framework = 'express', database = ':memory:'] = process.argv.slice(2)
const complaints: string[] = []
const server = await startServer(
  readConfig({
    PORT: '0',
    KEELSON_FRAMEWORK: framework,
    KEELSON_DB: database,
  }),
  (line) => complaints.push(line),
)

process.on('message', () => {
  for (let round = 0; round < 3; round += 1) globalThis.gc?.()
  process.send?.({ heapBytes: process.memoryUsage().heapUsed, complaints: complaints.splice(0) })
})
process.on('disconnect', () => process.exit(0))
process.send?.({ url: server.url })
