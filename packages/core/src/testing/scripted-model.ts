import type {
  FailureClass,
  ModelInfo,
  ModelMessage,
  ModelPart,
  ModelRequest,
  Provider,
} from '../capabilities/models/index.ts'
import { ModelFailure, noUsage } from '../capabilities/models/index.ts'
import { type FinishReason, textOf, type Usage } from '../capabilities/sessions/index.ts'
import { type Clock, systemClock } from '../kernel/clock.ts'
import type { Json } from '../kernel/json.ts'
import { pause } from './pause.ts'

/** One thing the scripted model does. Made by `say`, `think`, `callTool`, `fail`, `hang`, `delay`, `cut` and `finish`. */
export type ScriptAction =
  | { readonly do: 'say' | 'think'; readonly chunks: readonly string[] }
  | { readonly do: 'call'; readonly tool: string; readonly arguments: string; readonly call: string | undefined }
  | { readonly do: 'fail'; readonly failure: FailureClass; readonly detail: FailDetail }
  | { readonly do: 'hang' }
  | { readonly do: 'delay'; readonly ms: number }
  | { readonly do: 'cut' }
  | { readonly do: 'finish'; readonly reason: FinishReason | undefined; readonly usage: Partial<Usage> | undefined }
  | { readonly do: 'respond'; readonly make: (request: ModelRequest) => ScriptStep | Promise<ScriptStep> }

/** What the model does in one call: one action, or several in order (two `callTool`s are parallel calls). */
export type ScriptStep = ScriptAction | readonly ScriptAction[]

export interface FailDetail {
  readonly retryAfterMs?: number
  readonly status?: number
  readonly message?: string
  /** Said before it fails, so that the failure comes in the middle of the stream. */
  readonly afterText?: string
}

/** Says a text, word by word, or exactly the given chunks. */
export const say = (text: string | readonly string[]): ScriptAction => ({ do: 'say', chunks: chunksOf(text) })

/** Streams reasoning, word by word, or exactly the given chunks. */
export const think = (text: string | readonly string[]): ScriptAction => ({ do: 'think', chunks: chunksOf(text) })

/** Calls a tool. Arguments given as a string are sent as they are, so that they can be broken JSON. */
export const callTool = (tool: string, args: Json = {}, options: { readonly call?: string } = {}): ScriptAction => ({
  do: 'call',
  tool,
  arguments: typeof args === 'string' ? args : JSON.stringify(args),
  call: options.call,
})

/** Throws a `ModelFailure` of this class, at once or after some text. */
export const fail = (failure: FailureClass, detail: FailDetail = {}): ScriptAction => ({ do: 'fail', failure, detail })

/** Says nothing more until the call is aborted. */
export const hang = (): ScriptAction => ({ do: 'hang' })

/** Waits so many milliseconds of the clock the scripted model was given. */
export const delay = (ms: number): ScriptAction => ({ do: 'delay', ms })

/** Ends the stream without a finish, as a lost connection does. */
export const cut = (): ScriptAction => ({ do: 'cut' })

/** States how the call ends. Left out, the reason follows from what was said, and the usage is the script's default. */
export const finish = (options: { readonly reason?: FinishReason; readonly usage?: Partial<Usage> }): ScriptAction => ({
  do: 'finish',
  reason: options.reason,
  usage: options.usage,
})

/** Decides what to do when the call comes, from what the model is sent. */
export const respond = (make: (request: ModelRequest) => ScriptStep | Promise<ScriptStep>): ScriptAction => ({
  do: 'respond',
  make,
})

export interface ScriptedModelOptions {
  /** Prefix of its models. @default 'scripted' */
  readonly id?: string
  readonly models?: readonly ModelInfo[]
  readonly local?: boolean
  /** Where `delay` takes time from. @default the system clock */
  readonly clock?: Clock
  /** Usage of a call that states none. @default 10 input and 5 output tokens */
  readonly usage?: Partial<Usage>
  /** What every call past the end of the script does. @default it fails the test */
  readonly otherwise?: ScriptStep
}

/** What the model was sent in one call. Messages and tools are frozen: changing one afterwards throws. */
export interface ScriptedCall {
  /** The name it was called by; in a test runtime `provider/model`. */
  readonly model: string
  readonly request: ModelRequest
  /** The call's own signal. */
  readonly signal: AbortSignal
}

/** A model that does what a script says, one step per call, and remembers what it was asked. */
export interface ScriptedModel extends Provider {
  readonly calls: readonly ScriptedCall[]
  /** Adds steps to the end of the script. */
  push(...steps: readonly ScriptStep[]): void
  /** Throws when steps were not used, or when a call came that the script did not foresee. */
  assertComplete(): void
}

export const isScripted = (model: Provider): model is ScriptedModel => 'push' in model && 'calls' in model

/** Makes a provider that follows a script, so that an agent can be tested without a model. */
export function scriptedModel(steps: readonly ScriptStep[], options: ScriptedModelOptions = {}): ScriptedModel {
  const script = [...steps]
  const calls: ScriptedCall[] = []
  const unforeseen: Error[] = []
  const freeze = deepFreezer()
  const clock = options.clock ?? systemClock
  const usage: Usage = { ...noUsage, input: 10, output: 5, ...options.usage }
  let position = 0

  const next = (request: ModelRequest): ScriptStep => {
    const step = script[position]
    if (step !== undefined) {
      position++
      return step
    }
    if (options.otherwise !== undefined) return options.otherwise
    // Of a class that is not tried again: the test is to fail at once.
    const error = new ModelFailure('bad-request', unforeseenText(calls.length, script.length, request.messages))
    unforeseen.push(error)
    throw error
  }

  return {
    id: options.id ?? 'scripted',
    ...(options.models === undefined ? {} : { models: options.models }),
    ...(options.local === undefined ? {} : { local: options.local }),
    calls,
    push: (...more) => void script.push(...more),
    stream(model, request, signal) {
      const snapshot = freeze({ ...request, messages: [...request.messages], tools: [...request.tools] })
      calls.push({ model, request: snapshot, signal })
      const number = calls.length
      try {
        return perform(next(request), { request: snapshot, signal, clock, usage, number })
      } catch (error) {
        return failing(error)
      }
    },
    assertComplete() {
      const [first] = unforeseen
      if (first) throw new Error(first.message)
      if (position >= script.length) return
      const unused = script.slice(position).map((step, index) => `  ${position + index + 1}. ${describe(step)}`)
      throw new Error(`scripted model: ${unused.length} of ${script.length} steps were not used:\n${unused.join('\n')}`)
    },
  }
}

interface Performance {
  readonly request: ModelRequest
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly usage: Usage
  readonly number: number
}

async function* perform(step: ScriptStep, performance: Performance): AsyncGenerator<ModelPart> {
  const { request, signal, clock, number } = performance
  let usage = performance.usage
  let reason: FinishReason | undefined
  let made = 0
  const queue: ScriptAction[] = actionsOf(step)
  for (let action = queue.shift(); action !== undefined; action = queue.shift()) {
    signal.throwIfAborted()
    switch (action.do) {
      case 'say':
      case 'think':
        yield* speak(action.do === 'say' ? 'text' : 'reasoning', action.chunks, signal)
        break
      case 'call':
        made++
        yield {
          type: 'tool-call',
          call: action.call ?? `call_${number}_${made}`,
          tool: action.tool,
          arguments: action.arguments,
        }
        break
      case 'delay':
        await pause(clock, action.ms, signal)
        break
      case 'hang':
        await pause(clock, null, signal)
        break
      case 'fail': {
        const { message = `scripted failure: ${action.failure}`, retryAfterMs, status, afterText } = action.detail
        if (afterText !== undefined) yield* speak('text', chunksOf(afterText), signal)
        throw new ModelFailure(action.failure, message, { retryAfterMs, status })
      }
      case 'cut':
        return
      case 'finish':
        reason = action.reason ?? reason
        usage = { ...usage, ...action.usage }
        break
      case 'respond':
        queue.unshift(...actionsOf(await action.make(request)))
        break
    }
  }
  signal.throwIfAborted()
  yield { type: 'finish', reason: reason ?? (made > 0 ? 'tool-calls' : 'stop'), usage }
}

async function* speak(
  type: 'text' | 'reasoning',
  chunks: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<ModelPart> {
  for (const text of chunks) {
    signal.throwIfAborted()
    yield { type, text }
  }
}

// biome-ignore lint/correctness/useYield: a stream that fails before its first part
async function* failing(error: unknown): AsyncGenerator<ModelPart> {
  throw error
}

const actionsOf = (step: ScriptStep): ScriptAction[] => ('do' in step ? [step] : [...step])

const chunksOf = (text: string | readonly string[]): readonly string[] =>
  typeof text === 'string' ? (text.match(/\s*\S+\s*$|\s*\S+|\s+/g) ?? []) : text

function describe(step: ScriptStep): string {
  const one = (action: ScriptAction): string => {
    switch (action.do) {
      case 'say':
      case 'think':
        return `${action.do} ${quoted(action.chunks.join(''))}`
      case 'call':
        return `call ${action.tool}(${shortened(action.arguments)})`
      case 'fail':
        return `fail with ${action.failure}`
      case 'delay':
        return `delay ${action.ms} ms`
      default:
        return action.do
    }
  }
  return actionsOf(step).map(one).join(', then ')
}

function unforeseenText(call: number, length: number, messages: readonly ModelMessage[]): string {
  const user = messages.findLast((message) => message.role === 'user')
  const last = messages.at(-1)
  const lines = [
    `scripted model: call ${call} was not foreseen: the script has ${length} step${length === 1 ? '' : 's'}.`,
    user ? `Last user message: ${quoted(textOf(user.parts))}.` : 'No user message was sent.',
  ]
  if (last?.role === 'tool') {
    const results = last.parts.flatMap((part) => (part.type === 'tool-result' ? [part.tool] : []))
    lines.push(`It came after the result of ${results.join(', ')}.`)
  }
  return lines.join(' ')
}

const shortened = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text)

const quoted = (text: string): string => JSON.stringify(shortened(text))

/** Freezes everything reachable; what it has frozen before costs one look-up. */
function deepFreezer(): <T>(value: T) => T {
  const done = new WeakSet<object>()
  const freeze = <T>(value: T): T => {
    if (typeof value !== 'object' || value === null || done.has(value)) return value
    done.add(value)
    for (const child of Object.values(value)) freeze(child)
    return Object.freeze(value)
  }
  return freeze
}
