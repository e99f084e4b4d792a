import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { defineTool } from '@keelson/core'
import { z } from 'zod'
import { calculate } from './calculator.ts'

export const calculator = defineTool({
  name: 'calculator',
  description: 'Computes an arithmetic expression such as (2 + 3) * 4 ^ 2 / 5',
  input: z.object({ expression: z.string().max(1_000) }),
  risk: 'safe',
  execute: ({ expression }) => ({ expression, value: calculate(expression) }),
})

export const clock = defineTool({
  name: 'clock',
  description: 'The current date and time in UTC',
  input: z.object({}),
  risk: 'safe',
  execute: () => ({ utc: new Date().toISOString() }),
})

/** Writes a note as a text file into `folder`. Asks a person first; a repeat of the same call writes the same file. */
export const noteWriter = (folder: string) =>
  defineTool({
    name: 'write_note',
    description: 'Keeps a note for the user. A person is asked first.',
    input: z.object({ text: z.string().min(1).max(10_000), title: z.string().max(100).optional() }),
    risk: 'caution',
    approval: 'always',
    idempotent: true,
    async execute({ text, title = 'note' }, { idempotencyKey }) {
      const name = `${fileName(title)}-${fileName(idempotencyKey).slice(0, 8)}.txt`
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, name), `${text}\n`, 'utf8')
      return { saved: name }
    },
  })

/** A title as a file name: nothing of a path survives. */
const fileName = (title: string): string =>
  title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60) || 'note'
