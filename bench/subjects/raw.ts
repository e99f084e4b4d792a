// The limit: the smallest loop there is around a plain function call.
import { instructions, type ScriptStep, type WeatherArguments, weather } from '../harness/script.ts'
import type { CreateSubject } from './subject.ts'

interface RawMessage {
  readonly role: string
  readonly content: string
  readonly calls?: ScriptStep['calls']
}

export const create: CreateSubject = (script) => ({
  async turn(text) {
    const messages: RawMessage[] = [
      { role: 'system', content: instructions },
      { role: 'user', content: text },
    ]
    for (;;) {
      const step = script.next(messages.at(-1)?.role === 'tool')
      messages.push({ role: 'assistant', content: step.text, calls: step.calls })
      if (step.calls.length === 0) return step.text
      const results = await Promise.all(
        step.calls.map((call) => weather.execute(JSON.parse(call.arguments) as WeatherArguments)),
      )
      for (const result of results) messages.push({ role: 'tool', content: JSON.stringify(result) })
    }
  },
  async *stream() {
    yield* script.next(false).chunks
  },
})
