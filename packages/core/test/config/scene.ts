import { type AgentDefinition, type Client, defineAgent, type ModelRequest } from '@keelson/core'
import type { Store } from '@keelson/core/stores'
import {
  createTestRuntime,
  respond,
  type ScriptedModel,
  type ScriptStep,
  say,
  scriptedModel,
  type TestRuntime,
  type TestRuntimeOptions,
} from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { onTestFinished } from 'vitest'

export const clerk = (more: Partial<AgentDefinition> = {}): AgentDefinition =>
  defineAgent({ id: 'clerk', instructions: 'You help.', models: ['test/one'], ...more })

/** A model that decides each time by what it is sent. */
export const answering = (make: (request: ModelRequest) => ScriptStep): ScriptedModel =>
  scriptedModel([], { otherwise: respond(make) })

export interface Desk {
  readonly runtime: TestRuntime
  readonly client: Client
  /** The model that is used unless another one is given. */
  readonly model: ScriptedModel
  /** Sends a message in a session of its own and gives the instructions that the model was given for it. */
  instructions(agent?: string): Promise<string>
}

/** A runtime with one agent, stopped at the end of the test. */
export async function desk(options: Partial<TestRuntimeOptions> = {}): Promise<Desk> {
  const model = scriptedModel([], { otherwise: say('done') })
  const runtime = await createTestRuntime({ agents: [clerk()], model, ...options })
  onTestFinished(() => runtime.stop())
  const { client } = runtime
  return {
    runtime,
    client,
    model,
    async instructions(agent = 'clerk') {
      await client.run(agent, { message: 'hello' }).result
      return model.calls.at(-1)?.request.instructions ?? ''
    },
  }
}

/** A store that keeps no key for a vault. */
export function storeWithoutKey(): Store {
  const { vaultKeyFile: _, ...store } = sqliteStore(':memory:')
  return store
}
