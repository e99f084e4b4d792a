// The yardstick: a loop as small as it can be while it still does what a library owes its caller. Ids and times of
// messages, usage and cost, abort, a step limit, typed events, arguments parsed and checked, tool failures as results,
// and a reply that is always read as a stream.
import { randomUUID } from 'node:crypto'
import { instructions, usage, weather } from '../harness/script.ts'
import type { CreateSubject } from './subject.ts'

const mostSteps = 10
const price = { input: 3e-6, output: 15e-6 }

interface ToolRequest {
  readonly id: string
  readonly name: string
  readonly arguments: string
}

type Piece =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'call'; readonly call: ToolRequest }
  | { readonly type: 'finish'; readonly usage: typeof usage }

interface LeanMessage {
  readonly id: string
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  readonly at: number
  readonly calls?: readonly ToolRequest[]
  readonly callId?: string
}

type LeanEvent =
  | { readonly type: 'started'; readonly run: string }
  | { readonly type: 'text'; readonly run: string; readonly step: number; readonly text: string }
  | { readonly type: 'tool'; readonly run: string; readonly step: number; readonly call: string; readonly name: string }
  | {
      readonly type: 'result'
      readonly run: string
      readonly step: number
      readonly call: string
      readonly output: unknown
    }
  | { readonly type: 'ended'; readonly run: string; readonly text: string; readonly totals: Totals }

interface Totals {
  input: number
  output: number
  cost: number
}

type Check = (value: unknown) => string | null

/** A checker for flat object schemas, made once per tool. */
function checkerOf({ properties, required }: typeof weather.parameters): Check {
  const known: Readonly<Record<string, { readonly type: string }>> = properties
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'the arguments are no object'
    const given = value as Record<string, unknown>
    for (const name of required) if (given[name] === undefined) return `${name} is missing`
    for (const name in given) {
      const wanted = known[name]
      if (!wanted) return `${name} is unknown`
      if (typeof given[name] !== wanted.type) return `${name} is no ${wanted.type}`
    }
    return null
  }
}

export const create: CreateSubject = (script) => {
  async function* model(messages: readonly LeanMessage[]): AsyncGenerator<Piece> {
    const step = script.next(messages.at(-1)?.role === 'tool')
    for (const call of step.calls) yield { type: 'call', call }
    for (const text of step.chunks) yield { type: 'text', text }
    yield { type: 'finish', usage }
  }
  const tools = new Map([[weather.name, { ...weather, check: checkerOf(weather.parameters) }]])
  const message = (role: LeanMessage['role'], content: string, more?: Partial<LeanMessage>): LeanMessage => ({
    id: randomUUID(),
    role,
    content,
    at: Date.now(),
    ...more,
  })

  async function execute(call: ToolRequest): Promise<unknown> {
    try {
      const tool = tools.get(call.name as typeof weather.name)
      if (!tool) return { error: `there is no tool ${call.name}` }
      const args: unknown = JSON.parse(call.arguments)
      const problem = tool.check(args)
      return problem === null ? await tool.execute(args as { city: string }) : { error: problem }
    } catch (error) {
      return { error: String(error) }
    }
  }

  async function* run(history: LeanMessage[], text: string, signal?: AbortSignal): AsyncGenerator<LeanEvent> {
    const id = randomUUID()
    const totals: Totals = { input: 0, output: 0, cost: 0 }
    history.push(message('user', text))
    yield { type: 'started', run: id }
    for (let step = 1; step <= mostSteps; step += 1) {
      let answer = ''
      let calls: ToolRequest[] | undefined
      for await (const piece of model(history)) {
        signal?.throwIfAborted()
        if (piece.type === 'text') {
          answer += piece.text
          yield { type: 'text', run: id, step, text: piece.text }
        } else if (piece.type === 'call') {
          calls ??= []
          calls.push(piece.call)
        } else {
          totals.input += piece.usage.input
          totals.output += piece.usage.output
          totals.cost += piece.usage.input * price.input + piece.usage.output * price.output
        }
      }
      history.push(message('assistant', answer, calls && { calls }))
      if (!calls) {
        yield { type: 'ended', run: id, text: answer, totals }
        return
      }
      for (const call of calls) yield { type: 'tool', run: id, step, call: call.id, name: call.name }
      const results = await Promise.all(calls.map(execute))
      for (let index = 0; index < calls.length; index += 1) {
        const call = calls[index] as ToolRequest
        const output = results[index]
        history.push(message('tool', JSON.stringify(output), { callId: call.id }))
        yield { type: 'result', run: id, step, call: call.id, output }
      }
    }
    throw new Error('too many steps')
  }

  return {
    async turn(text) {
      let answer = ''
      for await (const event of run([message('system', instructions)], text)) {
        if (event.type === 'ended') answer = event.text
      }
      return answer
    },
    async *stream(text) {
      for await (const event of run([message('system', instructions)], text)) {
        if (event.type === 'text') yield event.text
      }
    },
  }
}
