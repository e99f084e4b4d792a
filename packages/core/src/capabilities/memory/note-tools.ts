import type { JsonObject } from '../../kernel/json.ts'
import { defineTool, type Tool } from '../tools/index.ts'
import { type CreateNote, noteOperations } from './contract.ts'
import type { NoteSummary } from './note.ts'
import type { NotePatch } from './store.ts'

const text = (description: string) => ({ type: 'string', description })
const fields = {
  type: text('note, task, topic, document, decision, reference, fact or journal'),
  status: text('active, open, in-progress, done or archived'),
  tags: { type: 'array', items: { type: 'string' } },
  priority: { type: 'integer', minimum: 0, maximum: 3 },
  due: { type: ['string', 'null'], description: 'ISO 8601 date, or date and time' },
  reminder: { type: 'boolean', description: 'whether to remind the user when it is due' },
  parentPath: { type: ['string', 'null'], description: 'path of the topic to file it under' },
}
const object = (properties: JsonObject, required: readonly string[]): JsonObject => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})

const shown = ({ path, title, type, status, tags, due, priority, createdAt, updatedAt }: NoteSummary) => ({
  path,
  title,
  type,
  status,
  tags,
  ...(due === null ? {} : { due }),
  ...(priority === 0 ? {} : { priority }),
  edited: new Date(updatedAt ?? createdAt).toISOString(),
})

/**
 * Tools with which an agent looks into the notes of the user it works for and writes them: `search_notes` and `read_note`
 * (safe), `write_note` and `update_note` (caution). They reach no other user's notes.
 */
export function notesTools(): readonly Tool[] {
  return [
    defineTool({
      name: 'search_notes',
      description:
        "Full-text search in the user's notes. Every word must occur, or begin a word that does. Best first.",
      risk: 'safe',
      idempotent: true,
      input: object(
        { query: text('words to look for'), type: fields.type, limit: { type: 'integer', minimum: 1, maximum: 50 } },
        ['query'],
      ),
      async execute({ query, type, limit = 10 }, { call }) {
        const search = { query: String(query), limit: Number(limit) }
        const found = await call(noteOperations.search, type === undefined ? search : { ...search, type: String(type) })
        return found.map(shown)
      },
    }),
    defineTool({
      name: 'read_note',
      description: 'The whole text of one note.',
      risk: 'safe',
      idempotent: true,
      maxOutputBytes: 65_536,
      input: object({ path: text('path of the note, as search_notes gives it') }, ['path']),
      async execute({ path }, { call }) {
        const note = await call(noteOperations.get, { path: String(path) })
        return { ...shown(note), content: note.content }
      },
    }),
    defineTool({
      name: 'write_note',
      description: 'Stores a new note for the user. Look with search_notes first whether there is one to update.',
      risk: 'caution',
      idempotent: true,
      input: object({ title: text('short and telling'), content: text('Markdown'), ...fields }, ['title', 'content']),
      async execute(note, { call, idempotencyKey }) {
        return shown(await call(noteOperations.create, { ...(note as unknown as CreateNote), id: idempotencyKey }))
      },
    }),
    defineTool({
      name: 'update_note',
      description: 'Changes the given fields of a note; content replaces the old one. Status archived puts it away.',
      risk: 'caution',
      idempotent: true,
      input: object(
        { path: text('path of the note'), title: text('new title'), content: text('new text'), ...fields },
        ['path'],
      ),
      async execute({ path, ...patch }, { call }) {
        return shown(await call(noteOperations.update, { path: String(path), ...(patch as NotePatch) }))
      },
    }),
  ]
}
