// The `ai` package, version 7, with its own mock model, without telemetry.
import { instructions, type Script, type ScriptStep, usage, weather } from '../harness/script.ts'
import { loadPeer } from './peer.ts'
import type { CreateSubject } from './subject.ts'

/** What is used of `ai`. */
interface Ai {
  generateText(options: object): Promise<{ readonly text: string }>
  streamText(options: object): { readonly textStream: AsyncIterable<string> }
  tool(definition: object): object
  isStepCount(count: number): unknown
  jsonSchema(schema: object): object
}

interface MockModel {
  readonly doGenerateCalls: unknown[]
  readonly doStreamCalls: unknown[]
}

interface AiTest {
  readonly MockLanguageModelV4: new (options: object) => MockModel
}

interface Prompted {
  readonly prompt: readonly { readonly role: string }[]
}

const spent = {
  inputTokens: { total: usage.input, noCache: usage.input, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: usage.output, text: usage.output, reasoning: 0 },
}

const finishOf = ({ calls }: ScriptStep) => ({ unified: calls.length > 0 ? 'tool-calls' : 'stop', raw: undefined })

/** The mock keeps every call it gets; it is emptied at each, or what it keeps would count as the library's. */
function mockModel(Mock: AiTest['MockLanguageModelV4'], script: Script): MockModel {
  const next = ({ prompt }: Prompted) => script.next(prompt.at(-1)?.role === 'tool')
  const model: MockModel = new Mock({
    provider: 'mock',
    modelId: 'mock-1',
    async doGenerate(call: Prompted) {
      model.doGenerateCalls.length = 0
      const step = next(call)
      const content: object[] = step.calls.map(({ id, name, arguments: input }) => ({
        type: 'tool-call',
        toolCallId: id,
        toolName: name,
        input,
      }))
      if (step.text !== '') content.push({ type: 'text', text: step.text })
      return { content, finishReason: finishOf(step), usage: spent, warnings: [] }
    },
    async doStream(call: Prompted) {
      model.doStreamCalls.length = 0
      return { stream: streamOf(next(call)) }
    },
  })
  return model
}

function streamOf(step: ScriptStep): ReadableStream<object> {
  const before = [
    { type: 'stream-start', warnings: [] },
    { type: 'text-start', id: 'text' },
  ]
  const after = [
    { type: 'text-end', id: 'text' },
    { type: 'finish', finishReason: finishOf(step), usage: spent },
  ]
  const length = before.length + step.chunks.length
  let index = 0
  return new ReadableStream({
    pull(controller) {
      const delta = step.chunks[index - before.length]
      const part =
        delta === undefined ? (before[index] ?? after[index - length]) : { type: 'text-delta', id: 'text', delta }
      if (part === undefined) controller.close()
      else controller.enqueue(part)
      index += 1
    },
  })
}

export const create: CreateSubject = async (script) => {
  const ai = await loadPeer<Ai>('ai')
  const { MockLanguageModelV4 } = await loadPeer<AiTest>('ai/test')
  const { name, description, parameters, execute } = weather
  const options = {
    model: mockModel(MockLanguageModelV4, script),
    instructions,
    ...(script.hasTools
      ? {
          tools: { [name]: ai.tool({ description, inputSchema: ai.jsonSchema(parameters), execute }) },
          stopWhen: ai.isStepCount(10),
        }
      : {}),
  }
  return {
    turn: async (prompt) => (await ai.generateText({ ...options, prompt })).text,
    stream: (prompt) => ai.streamText({ ...options, prompt }).textStream,
  }
}
