// Ours, with persistence taken out: what the loop itself costs.
import { createRuntime, defineTool, type ModelPart, type Provider, singleOwner } from '@keelson/core'
import { instructions, type Script, usage, type WeatherArguments, weather } from '../harness/script.ts'
import { stubStore } from './stub-store.ts'
import type { CreateSubject } from './subject.ts'

const spent = { input: usage.input, cacheRead: 0, cacheWrite: 0, output: usage.output, reasoning: 0 }

/** A provider that follows the script. */
export const scriptedProvider = (script: Script): Provider => ({
  id: 'bench',
  models: [{ name: 'scripted', price: { input: 3_000_000, output: 15_000_000 } }],
  async *stream(_, { messages }): AsyncGenerator<ModelPart> {
    const step = script.next(messages.at(-1)?.role === 'tool')
    for (const { id, name, arguments: text } of step.calls) {
      yield { type: 'tool-call', call: id, tool: name, arguments: text }
    }
    for (const text of step.chunks) yield { type: 'text', text }
    yield { type: 'finish', reason: step.calls.length > 0 ? 'tool-calls' : 'stop', usage: spent }
  },
})

export const weatherTool = () =>
  defineTool({
    name: weather.name,
    description: weather.description,
    input: weather.parameters,
    risk: 'safe',
    execute: (args) => weather.execute(args as { city: string } satisfies WeatherArguments),
  })

export const create: CreateSubject = async (script) => {
  const runtime = createRuntime({
    store: stubStore(),
    providers: [scriptedProvider(script)],
    agents: [{ id: 'bench', instructions, models: ['bench/scripted'], tools: script.hasTools ? [weatherTool()] : [] }],
    // A small cache is full after a few turns, so that what is kept per turn is seen and not what the cache still takes.
    limits: { historyBytes: 65_536 },
    onError(error) {
      throw error
    },
  })
  await runtime.start()
  const client = runtime.as(singleOwner('bench'))
  return {
    turn: async (message) => (await client.run('bench', { message }).result).text,
    async *stream(message) {
      for await (const event of client.run('bench', { message })) if (event.type === 'text.delta') yield event.text
    },
  }
}
