import type { Selection, TurnSelection } from '@keelson/core/stores'
import { parsed } from './columns.ts'
import type { TurnTable } from './schema.ts'

export const selectionColumns = [
  'id',
  'session',
  'subject',
  'agent',
  'status',
  'selection',
  'model',
  'steps',
  'created_at',
] as const

export const turnSelectionOf = (
  row: Pick<TurnTable, (typeof selectionColumns)[number]> & { readonly excerpt: string },
): TurnSelection => ({
  turn: row.id,
  session: row.session,
  subject: row.subject,
  agent: row.agent,
  status: row.status,
  selection: parsed<Selection>(row.selection) ?? { chosen: row.model ?? '', strategy: '', candidates: [] },
  model: row.model,
  steps: row.steps,
  excerpt: excerptOf(row.excerpt),
  createdAt: row.created_at,
})

/** The first text of a message, of which only the beginning of its JSON may be here. */
function excerptOf(json: string): string {
  const start = json.indexOf('"text":"')
  if (start < 0) return ''
  // As far as it goes: not past the closing quote, and not into an escape that was cut.
  const text = /^(?:[^"\\]|\\u[0-9a-f]{4}|\\[^u])*/i.exec(json.slice(start + 8))?.[0] ?? ''
  try {
    return JSON.parse(`"${text}"`) as string
  } catch {
    return ''
  }
}
