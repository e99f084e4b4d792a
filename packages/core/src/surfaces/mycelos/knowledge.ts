import { z } from 'zod'
import { type Note, type NoteSummary, noteErrors } from '../../capabilities/memory/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { defineErrors, isKeelsonError } from '../../kernel/errors.ts'
import type { Client } from '../../runtime.ts'
import { rowTime, timeText } from './formats.ts'
import type { Settings } from './options.ts'

const section = 'Knowledge'
const usualLimit = 50
const mostNotes = 1_000

const knowledgeErrors = defineErrors({
  TITLE_MISSING: { kind: 'unprocessable', message: 'title is required' },
})

const foundRow = z.strictObject({
  path: z.string(),
  title: z.string(),
  type: z.string(),
  status: z.string(),
  priority: z.int(),
  due: z.string().nullable(),
  /** JSON text. */
  tags: z.string(),
  created_at: timeText,
  updated_at: timeText.nullable(),
})

const listedRow = foundRow.extend({
  parent_path: z.string().nullable(),
  reminder: z.union([z.literal(0), z.literal(1)]),
  organizer_state: z.string(),
})

const foundOf = (note: NoteSummary): z.infer<typeof foundRow> => ({
  path: note.path,
  title: note.title,
  type: note.type,
  status: note.status,
  priority: note.priority,
  due: note.due,
  tags: JSON.stringify(note.tags),
  created_at: rowTime(note.createdAt),
  updated_at: note.updatedAt === null ? null : rowTime(note.updatedAt),
})

/** Nothing here files notes by itself. */
const unfiled = 'pending'

const listedOf = (note: NoteSummary): z.infer<typeof listedRow> => ({
  ...foundOf(note),
  parent_path: note.parentPath,
  reminder: note.reminder ? 1 : 0,
  organizer_state: unfiled,
})

const noteAnswer = z.strictObject({
  ...foundRow.shape,
  tags: z.array(z.string()),
  content: z.string(),
  parent_path: z.string().nullable(),
  reminder: z.boolean(),
  organizer_state: z.string(),
})

const noteOf = (note: Note): z.infer<typeof noteAnswer> => ({
  ...foundOf(note),
  tags: [...note.tags],
  content: note.content,
  parent_path: note.parentPath,
  reminder: note.reminder,
  organizer_state: unfiled,
})

const filterText = z
  .string()
  .max(1_024)
  .regex(/^[^\0]*$/, 'must not contain NUL')
  .optional()

const listQuery = z.object({
  query: z.string().optional(),
  type: filterText,
  status: filterText,
  limit: z
    .string()
    .regex(/^-?\d+$/, 'must be a whole number')
    .optional()
    // To the original a negative number is none.
    .transform((limit = String(usualLimit)) =>
      limit.startsWith('-') ? mostNotes : Math.min(Number(limit), mostNotes),
    ),
})

const given = <Name extends string>(name: Name, value: string | undefined) =>
  (value === undefined || value === '' ? {} : { [name]: value }) as { readonly [Key in Name]?: string }

const createBody = z.object({
  title: z.unknown(),
  content: z.string().nullish(),
  type: z.string().nullish(),
  tags: z.array(z.string()).nullish(),
  due: z.string().nullish(),
  reminder: z.boolean().nullish(),
  parent_path: z.string().nullish(),
  topic: z.string().nullish(),
})

const updateBody = z.object({
  title: z.string().optional(),
  content: z.string().optional(),
  status: z.string().optional(),
  tags: z.array(z.string()).optional(),
  priority: z.int().optional(),
  due: z.string().nullish(),
  reminder: z.boolean().optional(),
  parent_path: z.string().nullish(),
  archive: z.boolean().nullish(),
})

async function read(client: Client, path: string): Promise<Note> {
  try {
    return await client.notes.get({ path })
  } catch (error) {
    throw isKeelsonError(error) && error.code === 'NOTE_NOT_FOUND'
      ? noteErrors.NOTE_NOT_FOUND({ details: { path } })
      : error
  }
}

async function update(client: Client, path: string, body: z.infer<typeof updateBody>): Promise<Note> {
  const { archive, parent_path: parentPath, ...fields } = body
  const note = await read(client, path)
  const patch = {
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
    ...(parentPath === undefined ? {} : { parentPath: parentPath === '' ? null : parentPath }),
    ...(archive === true ? { status: 'archived' } : {}),
  }
  return Object.keys(patch).length === 0 ? note : await client.notes.update({ id: note.id, ...patch })
}

/** A path has a folder and a name, parted by a slash that is escaped or not. */
const byPath = (): readonly AnyRoute<Client>[] => {
  const updated = z.strictObject({ status: z.literal('updated'), path: z.string() })
  const common = { section, beyondDocument: true } as const
  const reading = { ...common, method: 'GET', summary: 'One note, with its text', response: noteAnswer } as const
  const writing = {
    ...common,
    method: 'PUT',
    summary: 'Change a note: its text, tags, status, topic',
    body: updateBody,
    response: updated,
  } as const
  const changed = (path: string) => ({ json: { status: 'updated', path } })
  return [
    route<Client>()({
      ...reading,
      path: '/api/knowledge/notes/:path',
      handle: async ({ client, params: { path } }) => ({ json: noteOf(await read(client, path)) }),
    }),
    route<Client>()({
      ...reading,
      path: '/api/knowledge/notes/:folder/:name',
      handle: async ({ client, params: { folder, name } }) => ({
        json: noteOf(await read(client, `${folder}/${name}`)),
      }),
    }),
    route<Client>()({
      ...writing,
      path: '/api/knowledge/notes/:path',
      handle: async ({ client, params: { path }, body }) => changed((await update(client, path, body)).path),
    }),
    route<Client>()({
      ...writing,
      path: '/api/knowledge/notes/:folder/:name',
      handle: async ({ client, params: { folder, name }, body }) =>
        changed((await update(client, `${folder}/${name}`, body)).path),
    }),
  ]
}

export const knowledgeRoutes = ({ user }: Settings): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/knowledge/notes',
    section,
    summary: 'List notes, the last edited first; with a query, those that match, best first',
    query: listQuery,
    response: z.array(z.union([listedRow, foundRow])),
    async handle({ client, query: { limit, query, status, type } }) {
      if (query !== undefined && query !== '') {
        const found = limit === 0 ? [] : await client.notes.search({ query, limit, ...given('type', type) })
        return { json: found.map(foundOf) }
      }
      const filter = { ...given('type', type), ...given('status', status) }
      return { json: (await client.notes.list({ limit, offset: 0, ...filter })).map(listedOf) }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/knowledge/search',
    section,
    summary: 'Full-text search across notes: every word, or its beginning, must occur; best first',
    body: z.object({ query: z.string() }),
    response: z.array(foundRow),
    async handle({ client, body: { query } }) {
      if (query.trim() === '') return { json: [] }
      return { json: (await client.notes.search({ query, limit: usualLimit })).map(foundOf) }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/knowledge/notes',
    section,
    summary: 'Create a note; tags, dates and reminders in its text are understood',
    beyondDocument: true,
    body: createBody,
    response: z.strictObject({
      path: z.string(),
      parent_path: z.string().nullable(),
      type: z.string(),
      due: z.string().nullable(),
      reminder: z.boolean(),
      tags: z.array(z.string()),
      organizer_state: z.string(),
    }),
    async handle({ client, body }) {
      const { content, due, parent_path, reminder, tags, title, topic, type } = body
      if (typeof title !== 'string' || title === '') throw knowledgeErrors.TITLE_MISSING()
      const parentPath = parent_path || topic
      const note = await client.notes.create({
        title,
        content: content ?? '',
        parse: true,
        timeZone: user.timezone ?? 'UTC',
        ...(type ? { type } : {}),
        ...(tags == null ? {} : { tags }),
        ...(due === undefined ? {} : { due }),
        ...(reminder == null ? {} : { reminder }),
        ...(parentPath ? { parentPath } : {}),
      })
      return {
        json: {
          path: note.path,
          parent_path: note.parentPath,
          type: note.type,
          due: note.due,
          reminder: note.reminder,
          tags: [...note.tags],
          organizer_state: unfiled,
        },
      }
    },
  }),

  ...byPath(),
]
