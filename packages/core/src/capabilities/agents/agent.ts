import type { Tool } from '../tools/index.ts'

/** An agent as its author writes it. */
export interface AgentDefinition {
  /** What code and surfaces call it. */
  readonly id: string
  /** For people. @default the id */
  readonly name?: string
  readonly description?: string
  readonly instructions: string
  /** `provider/model`, best first; the next one is tried when one fails before it has said anything. */
  readonly models: readonly string[]
  readonly tools?: readonly Tool[]
  /** Most model calls of one turn. @default 10 */
  readonly maxSteps?: number
  /** Most tokens of one answer. @default the model's own limit, at most 4,096 */
  readonly maxOutputTokens?: number | null
  /** Left to the provider when absent. */
  readonly temperature?: number | null
}

/** An agent with its defaults filled in. */
export interface Agent extends Required<Omit<AgentDefinition, 'maxOutputTokens' | 'temperature'>> {
  readonly maxOutputTokens: number | null
  readonly temperature: number | null
}
