import type { JsonObject } from '../../kernel/json.ts'
import type { ConfigSection } from '../config/index.ts'
import type { Risk, Tool } from './tool.ts'

const risks: readonly Risk[] = ['safe', 'caution', 'dangerous', 'forbidden']
const approvals = ['policy', 'always', 'never'] as const

/** What the `tools` section may say of a tool. */
export interface ToolOverrides {
  /** False takes it away from every agent. */
  readonly enabled?: boolean
  readonly risk?: Risk
  /** Replaces what the tool itself wants. */
  readonly approval?: (typeof approvals)[number]
}

const checks: Readonly<Record<keyof ToolOverrides, { readonly want: string; holds(value: unknown): boolean }>> = {
  enabled: { want: 'true or false', holds: (value) => typeof value === 'boolean' },
  risk: { want: `one of ${risks.join(', ')}`, holds: (value) => risks.some((risk) => risk === value) },
  approval: { want: `one of ${approvals.join(', ')}`, holds: (value) => approvals.some((one) => one === value) },
}

/** The `tools` section: policy for the tools of the code, by their names. */
export function toolsSection(tools: ReadonlyMap<string, readonly Tool[]>): ConfigSection {
  return {
    name: 'tools',
    code: () =>
      Object.fromEntries(
        [...tools].map(([name, all]) => [
          name,
          { is: all.map(({ description, parameters, risk }): JsonObject => ({ description, parameters, risk })) },
        ]),
      ),
    check(id, entry) {
      const problems = Object.entries(entry).flatMap(([key, value]) => {
        const check = Object.hasOwn(checks, key) ? checks[key as keyof ToolOverrides] : undefined
        if (!check) return [`${key} is not known; there are: ${Object.keys(checks).join(', ')}`]
        return check.holds(value) ? [] : [`${key} must be ${check.want}`]
      })
      return tools.has(id) ? problems : [...problems, 'there is no such tool']
    },
  }
}

/** A tool as the configuration has it; null when it is switched off. What the code forbids stays forbidden. */
export function configuredTool(tool: Tool, overrides: ToolOverrides | undefined): Tool | null {
  if (overrides === undefined) return tool
  if (overrides.enabled === false) return null
  const { risk = tool.risk, approval = tool.approval } = overrides
  return Object.freeze({ ...tool, risk: tool.risk === 'forbidden' ? 'forbidden' : risk, approval })
}
