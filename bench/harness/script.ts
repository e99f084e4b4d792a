/** The scripted work, the same for every subject: no network, no timer, no chance. */

export const instructions = 'You are a helpful assistant.'
export const userMessage = 'What is the weather in Paris today?'
export const usage = { input: 42, output: 11 } as const

const reply = 'The weather in Paris is mild and dry today.'
const cities = ['Paris', 'Rome', 'Oslo', 'Lima', 'Cairo', 'Delhi', 'Tokyo', 'Quito'] as const

/** What a model does in one call. */
export interface ScriptStep {
  readonly chunks: readonly string[]
  readonly text: string
  readonly calls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[]
}

export interface WeatherArguments {
  readonly city: string
  readonly days?: number | undefined
}

/** How often the model and the tool were really asked: what makes the work comparable. */
export const counts = { models: 0, tools: 0 }

/** The one tool: in process, nothing to wait for, a small object back. */
export const weather = {
  name: 'get_weather',
  description: 'Current weather of a city',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'number' } },
    required: ['city'],
    additionalProperties: false,
  },
  async execute({ city, days }: WeatherArguments) {
    counts.tools += 1
    return { city, days: days ?? 1, celsius: 17, sky: 'clear' }
  },
} as const

/** What a turn of the script has to come to. */
export interface Script {
  readonly hasTools: boolean
  readonly expected: { readonly text: string; readonly models: number; readonly tools: number }
  /** Called once per model call. */
  next(afterTool: boolean): ScriptStep
}

/** A reply of `chunks` pieces, after one step of `calls` parallel tool calls if there are any. */
export function makeScript(chunks: number, calls: number): Script {
  const pieces = chunks === 1 ? [reply] : Array.from({ length: chunks }, (_, index) => `tok${index % 100} `)
  const answer: ScriptStep = { chunks: pieces, text: pieces.join(''), calls: [] }
  const asking: ScriptStep = {
    chunks: [],
    text: '',
    calls: Array.from({ length: calls }, (_, index) => ({
      id: `call_${index}`,
      name: weather.name,
      arguments: JSON.stringify({ city: cities[index % cities.length], days: index + 1 }),
    })),
  }
  return {
    hasTools: calls > 0,
    expected: { text: answer.text, models: calls > 0 ? 2 : 1, tools: calls },
    next(afterTool) {
      counts.models += 1
      return calls > 0 && !afterTool ? asking : answer
    },
  }
}
