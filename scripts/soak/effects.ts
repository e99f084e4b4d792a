import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What processes write down as they act, each in a file of its own, so that it outlives them. */
export interface Records {
  /** A tool began or ended its work. `key` is its idempotency key: the id of its call's row. */
  readonly effects: {
    readonly tool: string
    readonly key: string
    readonly phase: 'start' | 'end'
    readonly at: number
  }
  /** A caller was told that its turn is stored. */
  readonly accepted: { readonly turn: string; readonly key: string | null }
  /** Somebody is about to say what is to be done about an interrupted turn. */
  readonly decisions: { readonly turn: string; readonly decision: 'retry' | 'done' | 'failed' }
}

const fileOf = (folder: string, name: keyof Records): string => join(folder, `${name}.jsonl`)

export function record<Name extends keyof Records>(folder: string, name: Name, line: Records[Name]): void {
  appendFileSync(fileOf(folder, name), `${JSON.stringify(line)}\n`)
}

/** Every line that was written whole. */
export function recorded<Name extends keyof Records>(folder: string, name: Name): Records[Name][] {
  const file = fileOf(folder, name)
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Records[Name])
}
