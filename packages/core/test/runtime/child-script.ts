// A script as somebody writes it: it awaits a turn and nothing else keeps its process alive.
import { createRuntime } from '@keelson/core'
import { fail, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'

const runtime = createRuntime({
  store: sqliteStore(':memory:'),
  providers: [{ ...scriptedModel([fail('overload'), say('Here I am.')]), id: 'test' }],
  agents: [{ id: 'clerk', instructions: 'You help.', models: ['test/one'] }],
  onError: () => {},
})
const { text } = await runtime.as({ subject: 'ada' }).run('clerk', { message: 'Are you there?' }).result
console.log(text)
