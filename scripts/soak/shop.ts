import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Agent,
  type BudgetDefinition,
  defineAgent,
  defineTool,
  ModelFailure,
  type ModelPart,
  type Provider,
  type Tool,
} from '@keelson/core'
import { z } from 'zod'
import { record } from './effects.ts'

export const chance = (share: number): boolean => Math.random() < share

export const below = (limit: number): number => Math.floor(Math.random() * limit)

export const oneOf = <Item>(items: readonly Item[]): Item | undefined => items[below(items.length)]

/** Tools whose every run is written down; some fail, and they take a few milliseconds. */
function toolsOf(folder: string): Tool[] {
  const input = z.object({ amount: z.number() })
  const tool = (name: string, more: { idempotent?: boolean; risk?: 'safe' | 'caution'; approval?: 'always' }) =>
    defineTool({
      name,
      description: `Does ${name}`,
      input,
      ...more,
      async execute({ amount }, { idempotencyKey: key }) {
        record(folder, 'effects', { tool: name, key, phase: 'start', at: Date.now() })
        await sleep(below(12))
        if (chance(0.05)) throw new Error('out of luck')
        record(folder, 'effects', { tool: name, key, phase: 'end', at: Date.now() })
        return { amount }
      },
    })
  return [
    tool('look', { risk: 'safe' }),
    tool('save', { idempotent: true }),
    tool('charge', { risk: 'caution' }),
    tool('wire', { approval: 'always' }),
  ]
}

/** A model that speaks, calls tools and fails as chance has it. */
function modelOf(): Provider {
  return {
    id: 'soak',
    models: [{ name: 'one', price: { input: 10, cacheRead: 1, output: 1_000 } }],
    async *stream(_, { messages }, signal): AsyncGenerator<ModelPart> {
      const asked = messages.findLastIndex(({ role }) => role === 'user')
      const steps = messages.length - asked
      if (chance(0.04)) throw new ModelFailure('server', 'not today')
      for (let word = below(8); word >= 0; word -= 1) {
        if (chance(0.5)) await sleep(below(4), undefined, { signal })
        yield { type: chance(0.2) ? 'reasoning' : 'text', text: `word${below(1_000)} ` }
        if (chance(0.01)) throw new ModelFailure('network', 'cut off')
      }
      const calls = steps < 7 && chance(0.6) ? 1 + below(4) : 0
      for (let call = 0; call < calls; call += 1) {
        const tool = oneOf(['look', 'look', 'save', 'save', 'save', 'charge', 'wire', 'nothing']) ?? 'look'
        const text = chance(0.03) ? '{"amount":' : JSON.stringify({ amount: below(100) })
        yield { type: 'tool-call', call: crypto.randomUUID(), tool, arguments: text }
      }
      const usage = {
        input: 1 + below(50),
        cacheRead: below(9),
        cacheWrite: 0,
        output: 1 + below(50),
        reasoning: below(5),
      }
      yield { type: 'finish', reason: calls > 0 ? 'tool-calls' : 'stop', usage }
    },
  }
}

/** One that a session uses up now and then, and one that nobody does. */
export const budgets: readonly BudgetDefinition[] = [
  { id: 'each', scope: 'session', period: 'total', amount: 60_000_000 },
  { id: 'all', scope: 'tenant', period: 'month', amount: 10n ** 15n },
]

export function shop(folder: string): { agent: Agent; model: Provider } {
  const agent = defineAgent({
    id: 'clerk',
    instructions: 'You help.',
    models: ['soak/one'],
    tools: toolsOf(folder),
    maxSteps: 4,
  })
  return { agent, model: modelOf() }
}
