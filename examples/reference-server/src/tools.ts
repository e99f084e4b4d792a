import { defineTool, notesTools, type Tool } from '@keelson/core'
import { z } from 'zod'
import { evaluate } from './arithmetic.ts'

const calculator = defineTool({
  name: 'calculator',
  description: 'Computes an arithmetic expression with + - * / ^, parentheses and decimals, e.g. "(2 + 3) * 4.5"',
  input: z.object({ expression: z.string().min(1).max(1_000) }),
  risk: 'safe',
  execute: ({ expression }) => evaluate(expression),
})

const clock = defineTool({
  name: 'clock',
  description: 'Tells the date and the time now, in UTC',
  input: z.object({}),
  risk: 'safe',
  execute: () => new Date().toISOString(),
})

/** The tools of the assistant. What writes a note asks a person first. */
export const assistantTools: readonly Tool[] = [
  calculator,
  clock,
  ...notesTools().map((tool): Tool => (tool.risk === 'safe' ? tool : { ...tool, approval: 'always' })),
]
