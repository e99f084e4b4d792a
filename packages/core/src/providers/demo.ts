import type { ModelMessage, ModelPart, ModelRequest, Provider, ToolDescription } from '../capabilities/models/index.ts'
import { noUsage } from '../capabilities/models/index.ts'
import { type Part, textOf } from '../capabilities/sessions/index.ts'

/** Words between two pauses, so that a long answer does not hold the event loop. */
const wordsAtOnce = 4

/**
 * A provider without a model behind it: `demo/demo` answers offline, at no cost, always the same, and says so. It calls
 * the tools `calculator`, `write_note` and `clock` when it is given them and the message plainly asks for one.
 */
export function demo(): Provider {
  const known = new WeakMap<ModelMessage, number>()
  return {
    id: 'demo',
    local: true,
    models: [
      { name: 'demo', contextTokens: 128_000, maxOutputTokens: 4096, vision: false, price: { input: 0, output: 0 } },
    ],
    async *stream(_model, request, signal): AsyncGenerator<ModelPart> {
      signal.throwIfAborted()
      const input = tokensOf(bytesOfRequest(request, known))
      const answer = answerTo(request)
      if (answer.type === 'tool-call') {
        yield answer
        const output = tokensOf(Buffer.byteLength(answer.arguments) + answer.tool.length)
        yield { type: 'finish', reason: 'tool-calls', usage: { ...noUsage, input, output } }
        return
      }
      let written = 0
      let fits = true
      let count = 0
      for (const [word] of answer.text.matchAll(/\s*\S+/g)) {
        const bytes = Buffer.byteLength(word)
        fits = tokensOf(written + bytes) <= request.maxOutputTokens
        if (!fits) break
        if (++count % wordsAtOnce === 0) await new Promise((resolve) => setImmediate(resolve))
        signal.throwIfAborted()
        written += bytes
        yield { type: 'text', text: word }
      }
      const usage = { ...noUsage, input, output: tokensOf(written) }
      yield { type: 'finish', reason: fits ? 'stop' : 'length', usage }
    },
  }
}

const tokensOf = (bytes: number): number => Math.ceil(bytes / 4)

function bytesOfRequest(request: ModelRequest, known: WeakMap<ModelMessage, number>): number {
  let bytes = Buffer.byteLength(request.instructions)
  for (const { name, description, parameters } of request.tools) {
    bytes += Buffer.byteLength(name + description + JSON.stringify(parameters))
  }
  for (const message of request.messages) {
    let size = known.get(message)
    if (size === undefined) {
      size = message.parts.reduce((sum, part) => sum + Buffer.byteLength(contentOf(part)), 0)
      known.set(message, size)
    }
    bytes += size
  }
  return bytes
}

function contentOf(part: Part): string {
  if (part.type === 'tool-call') return part.tool + part.arguments
  if (part.type === 'tool-result') return JSON.stringify(part.output)
  if (part.type === 'image') return ''
  return part.text
}

type DemoAnswer = Extract<ModelPart, { type: 'text' | 'tool-call' }>

function answerTo({ messages, tools }: ModelRequest): DemoAnswer {
  const results = resultsAtEnd(messages)
  if (results.length > 0) return { type: 'text', text: results.map(sayResult).join(' ') }

  const text = textOf(messages.findLast(({ role }) => role === 'user')?.parts ?? []).slice(0, 2000)
  const call = callFor(text, tools, messages.length)
  if (call) return call
  const said = text === '' ? 'You have said nothing yet.' : `You said: "${shorten(text)}".`
  const able = tools.map(({ name }) => name).filter((name) => Object.hasOwn(hints, name))
  const offer =
    able.length === 0 ? '' : ` I can still show how tools work: try ${able.map((name) => hints[name]).join(', or ')}.`
  return {
    type: 'text',
    text: `This is the demo model: there is no real model behind it, so it cannot think about what you write. ${said}${offer} Configure a real provider to get real answers.`,
  }
}

const hints: Readonly<Record<string, string>> = {
  calculator: '"what is 6 * 7"',
  write_note: '"note that the key is under the mat"',
  clock: '"what time is it"',
}

type ToolResult = Extract<Part, { type: 'tool-result' }>

/** Results that nobody has answered yet. */
function resultsAtEnd(messages: readonly ModelMessage[]): readonly ToolResult[] {
  const first = messages.findLastIndex(({ role }) => role !== 'tool') + 1
  return messages.slice(first).flatMap(({ parts }) => parts.filter((part) => part.type === 'tool-result'))
}

function sayResult({ tool, output, isError }: ToolResult): string {
  const shown = shorten(typeof output === 'string' ? output : JSON.stringify(output))
  return isError ? `(Demo model) The tool ${tool} did not succeed: ${shown}` : `(Demo model) ${tool} says: ${shown}`
}

function callFor(text: string, tools: readonly ToolDescription[], position: number): DemoAnswer | null {
  const call = (name: string, argumentNames: readonly string[] = [], value = ''): DemoAnswer | null => {
    const tool = tools.find((candidate) => candidate.name === name)
    if (!tool) return null
    const json = JSON.stringify(argumentsOf(tool, argumentNames, value))
    return { type: 'tool-call', call: `demo_${position}`, tool: name, arguments: json }
  }
  const expression = arithmeticIn(text)
  const note = noteIn(text)
  return (
    (note === null ? null : call('write_note', ['text', 'note', 'content', 'body'], note)) ??
    (expression === null ? null : call('calculator', ['expression', 'input', 'formula'], expression)) ??
    (asksForTime(text) ? call('clock') : null)
  )
}

/** Puts the value under the name the tool knows for it, and fills in the other texts it insists on. */
function argumentsOf({ parameters }: ToolDescription, names: readonly string[], value: string): Record<string, string> {
  const { properties, required } = parameters
  const known = typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
  const needed = Array.isArray(required) ? required.filter((name) => typeof name === 'string') : []
  const args: Record<string, string> = {}
  if (names.length === 0) return args
  const own = names.find((name) => known.includes(name)) ?? needed[0] ?? known[0] ?? names[0]
  if (own !== undefined) args[own] = value
  for (const name of needed) args[name] ??= value.slice(0, 40)
  return args
}

const words: readonly (readonly [RegExp, string])[] = [
  [/\bplus\b/gi, '+'],
  [/\bminus\b/gi, '-'],
  [/\btimes\b|\bmultiplied by\b|[×·]/gi, '*'],
  [/\bdivided by\b|\bover\b|÷/gi, '/'],
]

/** The first arithmetic expression in a text; dates and lone numbers are none. */
function arithmeticIn(text: string): string | null {
  let plain = text.replace(/\d{4}-\d{2}-\d{2}/g, ' ')
  for (const [word, sign] of words) plain = plain.replace(word, sign)
  for (const [run] of plain.matchAll(/[\d(][\d\s.,()+\-*/^%]*/g)) {
    const expression = run.replace(/\s|,(?=\d)/g, '').replace(/[^\d)%]+$/, '')
    if (/[\d)][+\-*/^%]\(*-?\.?\d/.test(expression) && balanced(expression)) return expression
  }
  return null
}

function balanced(expression: string): boolean {
  let open = 0
  for (const sign of expression) {
    if (sign === '(') open++
    if (sign === ')' && --open < 0) return false
  }
  return open === 0
}

function noteIn(text: string): string | null {
  const asked = /\b(?:remember|note(?: down)?|write down|jot down)\b(.*)/is.exec(text)?.[1]
  if (asked === undefined || /^\s*(?:do|did|what|which)\b/i.test(text)) return null
  const note = asked
    .replace(/^[\s:,]+/, '')
    .replace(/^(?:that|to)\s+/i, '')
    .trim()
  return note === '' ? null : note
}

const asksForTime = (text: string): boolean =>
  /\b(?:what time|what day|time is it|the time|current (?:time|date)|(?:today's|todays) date|date today)\b/i.test(text)

const shorten = (text: string): string => (text.length > 400 ? `${text.slice(0, 400)}…` : text)
