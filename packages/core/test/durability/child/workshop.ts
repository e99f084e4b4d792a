import { appendFileSync, readFileSync } from 'node:fs'
import {
  type Agent,
  defineAgent,
  defineTool,
  type ModelPart,
  type Provider,
  type SchemaTool,
  textOf,
} from '@keelson/core'
import { z } from 'zod'

/** What the model does in one step; what it is asked says it in full, so that any process can answer. */
export interface WorkStep {
  readonly say?: string
  /** Says no more after that the first time it is asked. */
  readonly hangs?: boolean
  readonly calls?: readonly { readonly tool: 'save' | 'look' | 'pay' | 'ask'; readonly note: string }[]
}

export const messageOf = (...steps: readonly WorkStep[]): string => JSON.stringify(steps)

/** One line of the file that remembers what was done, whichever process did it. */
export interface Effect {
  readonly what: 'model' | 'save' | 'look' | 'pay' | 'ask'
  /** Key of a call; the text that was asked and the step of a model. */
  readonly key: string
}

export function effectsIn(file: string): Effect[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Effect)
  } catch {
    return []
  }
}

/** An agent and a model whose every act is a line in a file. A tool whose note is `hangs` does so the first time. */
export function workshop(file: string): { agent: Agent; model: Provider } {
  /** Writes before it acts, and tells how often it was done before. */
  const record = (effect: Effect): number => {
    const before = effectsIn(file).filter(({ what, key }) => what === effect.what && key === effect.key).length
    appendFileSync(file, `${JSON.stringify(effect)}\n`)
    return before
  }
  const input = z.object({ note: z.string() })
  const tool = (name: Exclude<Effect['what'], 'model'>, more: Partial<SchemaTool<z.infer<typeof input>, unknown>>) =>
    defineTool({
      name,
      description: `Does ${name}`,
      input,
      ...more,
      async execute({ note }, { idempotencyKey }) {
        const before = record({ what: name, key: idempotencyKey })
        if (note === 'hangs' && before === 0) await new Promise(() => {})
        return `${name} ${note}`
      },
    })
  const agent = defineAgent({
    id: 'clerk',
    instructions: 'You help.',
    models: ['work/shop'],
    tools: [
      tool('save', { idempotent: true }),
      tool('look', { risk: 'safe' }),
      tool('pay', { risk: 'caution' }),
      tool('ask', { approval: 'always' }),
    ],
  })
  const model: Provider = {
    id: 'work',
    async *stream(_, { messages }, signal): AsyncGenerator<ModelPart> {
      const asked = messages.findLastIndex(({ role }) => role === 'user')
      const number = messages.slice(asked).filter(({ role }) => role === 'assistant').length
      const text = textOf(messages[asked]?.parts ?? [])
      const step = (JSON.parse(text) as WorkStep[])[number] ?? { say: 'nothing left to do' }
      const before = record({ what: 'model', key: `${text} ${number}` })
      for (const piece of step.say?.match(/\S+\s*/g) ?? []) yield { type: 'text', text: piece }
      if (step.hangs && before === 0) {
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      }
      for (const [index, { tool: name, note }] of (step.calls ?? []).entries()) {
        yield { type: 'tool-call', call: `call_${number}_${index}`, tool: name, arguments: JSON.stringify({ note }) }
      }
      const usage = { input: 10, cacheRead: 0, cacheWrite: 0, output: 5, reasoning: 0 }
      yield { type: 'finish', reason: step.calls ? 'tool-calls' : 'stop', usage }
    },
  }
  return { agent, model }
}
