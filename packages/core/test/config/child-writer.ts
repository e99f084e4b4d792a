// Changes the configuration of a database file over and over until it is killed. Started by a test.
import { createRuntime, defineAgent, singleOwner } from '@keelson/core'
import { say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'

const [, , database = ''] = process.argv
const runtime = createRuntime({
  store: sqliteStore(database),
  agents: [defineAgent({ id: 'clerk', instructions: 'You help.', models: ['scripted/one'] })],
  providers: [scriptedModel([], { otherwise: say('done') })],
  keepGenerations: 4,
})
const { config } = runtime.as(singleOwner('code'))

await runtime.start()
for (let count = 1; ; count += 1) {
  const agents = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [
      `agent-${index}`,
      { instructions: `${count} `.repeat(200), models: ['scripted/one'] },
    ]),
  )
  const { generation } = await config.change({ patch: { agents } })
  if (count % 3 === 0) await config.activate({ generation: generation.parent })
  process.send?.({ changed: count })
}
