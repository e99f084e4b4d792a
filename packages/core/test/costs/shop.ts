import { createRuntime, type ModelPrice, type RuntimeOptions, singleOwner } from '@keelson/core'
import { finish, type ScriptedModel, type ScriptStep, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { onTestFinished } from 'vitest'
import { agentOf, noteTool } from '../durability/scene.ts'

export const price: ModelPrice = { input: 1_000, output: 10_000, cacheRead: 100, cacheWrite: 1_250 }
export const window = { limit: 100, offset: 0 }

/** A runtime with one agent, one model and its price. */
export function shop(
  steps: readonly ScriptStep[],
  options: Partial<RuntimeOptions> & { readonly price?: ModelPrice | null } = {},
) {
  const { price: own = price, ...rest } = options
  const model: ScriptedModel = scriptedModel(steps, {
    id: 'test',
    models: [{ name: 'one', maxOutputTokens: 1_000, ...(own === null ? {} : { price: own }) }],
  })
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [model],
    agents: [agentOf([noteTool('look', () => 'seen')])],
    limits: { backoffMs: 0, attempts: 2 },
    stopMs: 0,
    ...rest,
  })
  onTestFinished(() => runtime.stop())
  return { runtime, model, client: runtime.as(singleOwner('code')) }
}

export const used = (usage: object) => finish({ usage })
