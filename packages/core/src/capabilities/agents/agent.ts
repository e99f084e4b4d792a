import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { JsonObject } from '../../kernel/json.ts'
import type { RecallOptions } from '../memory/index.ts'
import type { CompiledSchema, Tool, ToolPermission } from '../tools/index.ts'

/** What an agent's answers must look like, ready for use. Made by `defineAgent`. */
export interface AgentOutput<Output = unknown> extends CompiledSchema<Output> {
  /** Name of the schema, for vendors that want one. */
  readonly name: string
}

/** An agent as its author writes it. */
export interface AgentDefinition<Output = unknown> {
  /** What code and surfaces call it. */
  readonly id: string
  /** For people. @default the id */
  readonly name?: string
  readonly description?: string
  readonly instructions: string
  /** `provider/model`, best first; the next one is tried when one fails before it has said anything. */
  readonly models: readonly string[]
  readonly tools?: readonly Tool[]
  /** Names of the connectors whose tools it gets; `*` for all that are enabled. @default none */
  readonly connectors?: readonly string[] | '*'
  /**
   * By the name of a tool, its own or a connector's (`<connector>__<tool>`): `allow` uses it without asking, `ask` asks
   * each time, `deny` has every call refused. What the policy denies stays denied. @default what the tool itself wants
   */
  readonly permissions?: Readonly<Record<string, ToolPermission>>
  /** Most model calls of one turn. @default 10 */
  readonly maxSteps?: number
  /** Most tokens of one answer. @default the model's own limit, at most 16,384 */
  readonly maxOutputTokens?: number | null
  /** Left to the provider when absent. */
  readonly temperature?: number | null
  /**
   * What the answer must be: JSON of this schema, checked, put right by the model once, else the turn fails with
   * `OUTPUT_INVALID`. A Standard Schema (zod, valibot, arktype ...), whose type `handle.output` has, or JSON Schema.
   */
  readonly output?: StandardSchemaV1<unknown, Output> | AgentOutput<Output> | JsonObject | null
  /** JSON Schema of `output` for the model; needed when the schema library cannot make one itself. */
  readonly outputSchema?: JsonObject
  /** What the agent is told of its caller's memory when a turn begins. @default null: nothing is recalled */
  readonly recall?: RecallOptions | null
}

type Filled = Required<Omit<AgentDefinition, 'maxOutputTokens' | 'temperature' | 'output' | 'outputSchema' | 'recall'>>

/** An agent with its defaults filled in. `Output` is what its answers are parsed to, null for plain text. */
export interface Agent<Output = unknown> extends Filled {
  /** What the code calls it; null for one that only the configuration has. */
  readonly codeName: string | null
  readonly maxOutputTokens: number | null
  readonly temperature: number | null
  readonly output: AgentOutput<Output> | null
  readonly recall: RecallOptions | null
}
