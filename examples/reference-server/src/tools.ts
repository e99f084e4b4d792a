import { createHash } from 'node:crypto'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { defineTool, type Tool } from '@keelson/core'
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

/** A name for a file that stays in its folder, whatever was asked for. */
export function fileNameOf(title: string, idempotencyKey: string): string {
  const slug = title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 60)
    .replace(/^-+|-+$/g, '')
  const key = createHash('sha256').update(idempotencyKey).digest('hex').slice(0, 12)
  return `${slug === '' ? 'note' : slug}-${key}.txt`
}

const writeNote = (folder: string): Tool =>
  defineTool({
    name: 'write_note',
    description: 'Keeps a text for the user as a file. A person has to approve it first.',
    input: z.object({ title: z.string().max(200), text: z.string().min(1).max(20_000) }),
    risk: 'caution',
    approval: 'always',
    // The same call writes the same file, and a file is there as a whole or not at all.
    idempotent: true,
    async execute({ title, text }, { idempotencyKey }) {
      const file = fileNameOf(title, idempotencyKey)
      const path = join(folder, file)
      await mkdir(folder, { recursive: true })
      await writeFile(`${path}.part`, text)
      await rename(`${path}.part`, path)
      return { file, bytes: Buffer.byteLength(text) }
    },
  })

/** The tools of the assistant. Notes are written below `notes`. */
export const assistantTools = (notes: string): readonly Tool[] => [calculator, clock, writeNote(notes)]
