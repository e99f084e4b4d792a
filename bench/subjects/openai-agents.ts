// `@openai/agents` with a model of its own kind, without tracing: its exporter would go to the network.
import { instructions, type ScriptStep, usage, weather } from '../harness/script.ts'
import { loadPeer } from './peer.ts'
import type { CreateSubject } from './subject.ts'

interface StreamEvent {
  readonly type: string
  readonly data: { readonly type: string; readonly delta: string }
}

interface AgentsRunner {
  run(agent: object, input: string, options: { readonly stream: true }): Promise<AsyncIterable<StreamEvent>>
  run(agent: object, input: string): Promise<{ readonly finalOutput: string }>
}

/** What is used of `@openai/agents`. */
interface Agents {
  readonly Agent: new (options: object) => object
  readonly Runner: new (options: object) => AgentsRunner
  readonly Usage: new (options: object) => object
  tool(definition: object): object
  setTracingDisabled(disabled: boolean): void
}

type Input = string | readonly { readonly type?: string }[]

const spent = {
  inputTokens: usage.input,
  outputTokens: usage.output,
  totalTokens: usage.input + usage.output,
}

function outputOf({ calls, text }: ScriptStep): object[] {
  const output: object[] = calls.map(({ id, name, arguments: args }) => ({
    type: 'function_call',
    callId: id,
    name,
    arguments: args,
    status: 'completed',
  }))
  if (text !== '') {
    output.push({ type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text }] })
  }
  return output
}

export const create: CreateSubject = async (script) => {
  const { Agent, Runner, setTracingDisabled, tool, Usage } = await loadPeer<Agents>('@openai/agents')
  setTracingDisabled(true)
  const next = (input: Input) => script.next(typeof input !== 'string' && input.at(-1)?.type === 'function_call_result')
  const model = {
    async getResponse({ input }: { readonly input: Input }) {
      return { usage: new Usage(spent), output: outputOf(next(input)) }
    },
    async *getStreamedResponse({ input }: { readonly input: Input }) {
      const step = next(input)
      yield { type: 'response_started' }
      for (const delta of step.chunks) yield { type: 'output_text_delta', delta }
      yield { type: 'response_done', response: { id: 'response', usage: spent, output: outputOf(step) } }
    },
  }
  const { name, description, execute, parameters } = weather
  // Its strict schemas want every argument.
  const strict = { ...parameters, required: ['city', 'days'] }
  const tools = script.hasTools ? [tool({ name, description, parameters: strict, execute })] : []
  const agent = new Agent({ name: 'bench', instructions, model, tools })
  const runner = new Runner({ tracingDisabled: true })
  return {
    turn: async (text) => (await runner.run(agent, text)).finalOutput,
    async *stream(text) {
      for await (const { type, data } of await runner.run(agent, text, { stream: true })) {
        if (type === 'raw_model_stream_event' && data.type === 'output_text_delta') yield data.delta
      }
    },
  }
}
