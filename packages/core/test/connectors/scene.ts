import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type AgentDefinition,
  type ConnectorDefinition,
  type ConnectorLimits,
  defineAgent,
  type RuntimeOptions,
} from '@keelson/core'
import { type McpConnectorOptions, mcpConnectors } from '@keelson/core/mcp'
import { createTestRuntime, scriptedModel, type TestRuntime } from '@keelson/core/testing'
import { onTestFinished } from 'vitest'

export const serverScript = join(import.meta.dirname, 'child-server.ts')

/** Quick enough for tests, and never so quick that a slow machine changes the outcome. */
const limits: Partial<ConnectorLimits> = { backoffMs: 5, longestBackoffMs: 20 }

export const program = (
  behaviour = 'plain',
  more: Partial<ConnectorDefinition> = {},
  journal = '',
): ConnectorDefinition => ({
  name: 'test',
  transport: { type: 'stdio', command: process.execPath, args: [serverScript, behaviour, journal], env: [] },
  ...more,
})

/** A file that a server writes down what happens to it in. */
export function newJournal(): { readonly file: string; lines(): string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-connectors-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'journal')
  return {
    file,
    lines() {
      try {
        return readFileSync(file, 'utf8').split('\n').filter(Boolean)
      } catch {
        return []
      }
    },
  }
}

export interface ConnectorSceneOptions extends McpConnectorOptions {
  readonly model?: Parameters<typeof scriptedModel>[0]
  readonly agent?: Partial<AgentDefinition>
  readonly runtime?: Partial<RuntimeOptions>
}

/** A runtime with connectors and one agent that has all of them. */
export async function openScene({
  agent = {},
  model = [],
  runtime = {},
  ...options
}: ConnectorSceneOptions): Promise<TestRuntime & { readonly scripted: ReturnType<typeof scriptedModel> }> {
  const scripted = scriptedModel(model)
  const opened = await createTestRuntime({
    model: scripted,
    agents: [defineAgent({ id: 'clerk', instructions: 'You help.', models: ['test/one'], connectors: '*', ...agent })],
    allowProcesses: true,
    connectors: mcpConnectors({ ...options, limits: { ...limits, ...options.limits } }),
    ...runtime,
  })
  onTestFinished(() => opened.stop())
  return { ...opened, scripted }
}

/** True while a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A zombie is there and does nothing.
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Waits until a condition holds. The test's own time limit ends it. */
export async function until<Value>(
  check: () => Value | Promise<Value>,
): Promise<Exclude<Value, false | null | undefined>> {
  for (;;) {
    const value = await check()
    if (value) return value as Exclude<Value, false | null | undefined>
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
