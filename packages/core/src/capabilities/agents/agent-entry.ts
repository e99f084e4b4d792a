import type { JsonObject } from '../../kernel/json.ts'
import { isPermissions, type ToolPermission } from '../tools/index.ts'

/** What the `agents` section may say of an agent: over a definition of the code, or all there is of it. */
export interface AgentEntry {
  /** False takes the agent away: no new turn is accepted. */
  readonly enabled?: boolean
  readonly name?: string
  readonly description?: string
  readonly instructions?: string
  /** `provider/model`, best first. */
  readonly models?: readonly string[]
  /** Names of tools that the code has registered. */
  readonly tools?: readonly string[]
  /** Names of connectors, or `*` for all. */
  readonly connectors?: '*' | readonly string[]
  /** By the name of a tool. Those of the code that are not named here stay. */
  readonly permissions?: Readonly<Record<string, ToolPermission>>
  readonly maxSteps?: number
  readonly maxOutputTokens?: number | null
  readonly temperature?: number | null
}

const isText = (value: unknown): boolean => typeof value === 'string'
const areTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText)
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 1

const checks: Readonly<Record<keyof AgentEntry, { readonly want: string; holds(value: unknown): boolean }>> = {
  enabled: { want: 'true or false', holds: (value) => typeof value === 'boolean' },
  name: { want: 'a text', holds: isText },
  description: { want: 'a text', holds: isText },
  instructions: { want: 'a text', holds: isText },
  models: { want: 'a list of provider/model', holds: areTexts },
  tools: { want: 'a list of names of tools', holds: areTexts },
  connectors: { want: "'*' or a list of names of connectors", holds: (value) => value === '*' || areTexts(value) },
  permissions: { want: 'allow, ask or deny by the name of a tool', holds: isPermissions },
  maxSteps: { want: 'a positive whole number', holds: isCount },
  maxOutputTokens: { want: 'a positive whole number, or null', holds: (value) => value === null || isCount(value) },
  temperature: {
    want: 'a number that is not negative, or null',
    holds: (value) => value === null || (typeof value === 'number' && value >= 0),
  },
}

/** What is wrong with the entry's own values. */
export function problemsOfEntry(entry: JsonObject): string[] {
  return Object.entries(entry).flatMap(([key, value]) => {
    const check = Object.hasOwn(checks, key) ? checks[key as keyof AgentEntry] : undefined
    if (!check) return [`${key} is not known; there are: ${Object.keys(checks).join(', ')}`]
    return check.holds(value) ? [] : [`${key} must be ${check.want}`]
  })
}
