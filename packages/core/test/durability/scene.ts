import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Agent,
  type AgentDefinition,
  type Client,
  defineAgent,
  defineTool,
  endsTurn,
  isKeelsonError,
  type SchemaTool,
  type Tool,
  type ToolCall,
  type TurnEvent,
} from '@keelson/core'
import { onTestFinished } from 'vitest'
import { z } from 'zod'

/** The one agent of most tests. */
export const agentOf = (tools: readonly Tool[] = [], more: Partial<AgentDefinition> = {}): Agent =>
  defineAgent({ id: 'clerk', instructions: 'You help.', models: ['test/one'], tools, ...more })

const note = z.object({ note: z.string() })

type NoteTool = SchemaTool<z.infer<typeof note>, unknown>

/** A tool that takes a note. Asks nobody unless told otherwise. */
export const noteTool = (name: string, execute: NoteTool['execute'], more: Partial<NoteTool> = {}): Tool =>
  defineTool({ name, description: `Does ${name}`, input: note, ...more, execute })

/** A tool that remembers its runs, and asks a person first. */
export function askingTool(name = 'pay', more: Partial<NoteTool> = {}) {
  const runs: { note: string; key: string }[] = []
  const tool = noteTool(
    name,
    ({ note: text }, { idempotencyKey: key }) => {
      runs.push({ note: text, key })
      return `${name}: ${text}`
    },
    { approval: 'always', ...more },
  )
  return { tool, runs }
}

/** A gate that is closed until it is opened. */
export function gate<Value = void>() {
  const { promise, resolve, reject } = Promise.withResolvers<Value>()
  return { passed: promise, open: resolve, break: reject }
}

/** A database file in a folder of its own, which goes with the test. */
export function databaseFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-durability-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'data.db')
}

export async function collect(events: AsyncIterable<TurnEvent>): Promise<TurnEvent[]> {
  const all: TurnEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

/** Events of a turn from the store and live, from a position on. */
export const followed = async (client: Client, id: string, after = 0): Promise<TurnEvent[]> =>
  collect(await client.turns.follow({ id, after }))

/** What a reader shows in the end: the text of the last step, as often as that began. */
export function shownText(events: Iterable<TurnEvent>): string {
  let text = ''
  for (const event of events) {
    if (event.type === 'step.started' || event.type === 'step.restarted') text = ''
    if (event.type === 'text.delta') text += event.text
  }
  return text
}

export const typesOf = (events: readonly TurnEvent[]): string[] => events.map(({ type }) => type)

export const ends = (events: readonly TurnEvent[]): TurnEvent[] => events.filter(({ type }) => endsTurn(type))

/** Text of every message of a session; tool traffic by the names of its tools. */
export async function transcript(client: Client, session: string): Promise<string[]> {
  const messages = await client.sessions.messages({ session, limit: 10_000 })
  return messages.map(({ role, parts }) => {
    const shown = parts.map((part) => {
      if (part.type === 'tool-call') return `call ${part.tool}`
      if (part.type === 'tool-result') return `result ${part.tool}${part.isError ? ' !' : ''}`
      return part.type === 'image' ? '[image]' : part.text
    })
    return `${role}: ${shown.join(', ')}`
  })
}

export const callsOf = async (client: Client, turn: string): Promise<Pick<ToolCall, 'tool' | 'status' | 'output'>[]> =>
  (await client.sessions.toolCalls({ turn })).map(({ tool, status, output }) => ({ tool, status, output }))

/** The code of the error a promise rejects with; 'fulfilled' when it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'fulfilled'
  } catch (error) {
    return isKeelsonError(error) ? error.code : `not ours: ${String(error)}`
  }
}

/** Waits until a condition holds. The test's own time limit ends it. */
export async function until<Value>(
  check: () => Value | Promise<Value>,
): Promise<Exclude<Value, false | null | undefined>> {
  for (;;) {
    const value = await check()
    if (value) return value as Exclude<Value, false | null | undefined>
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** The one approval of a turn. */
export async function approvalOf(client: Client, turn: string): Promise<string> {
  const [approval] = await client.approvals.list({ limit: 10, offset: 0, turn })
  if (!approval) throw new Error('the turn asked nobody')
  return approval.id
}
