import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createRuntime, singleOwner } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { longestStretch, timed } from '../harness/clocks.ts'
import { temporaryFolder } from '../harness/folder.ts'
import type { StartJob } from '../harness/job.ts'
import { listen } from '../harness/listen.ts'
import { startLoadGenerator } from '../harness/load.ts'
import { makeScript } from '../harness/script.ts'
import { agentServer } from '../subjects/agent-server.ts'
import { scriptedProvider } from '../subjects/keelson.ts'
import { noteWord } from './notes-file.ts'

const limit = 50

interface Kind {
  readonly searches: number
  /** The least that is found. */
  readonly least: number
  query(number: number): string
}

const kinds = {
  rare: { searches: 200, least: 1, query: (number) => noteWord('rare', number) },
  usual: { searches: 40, least: limit, query: (number) => noteWord('usual', number) },
  common: { searches: 6, least: limit, query: (number) => noteWord('common', number) },
  twoWords: {
    searches: 40,
    least: limit,
    query: (number) => `${noteWord('usual', number)} ${noteWord('common', number)}`,
  },
  // No word begins like this: it is found in the titles of few notes, after all have been gone through.
  substring: { searches: 1, least: 1, query: (number) => noteWord('rare', number).slice(1) },
} as const satisfies Readonly<Record<string, Kind>>

/** Resolves with how many notes were found. */
type Search = (query: string) => Promise<number>

interface Subject {
  readonly search: Search
  /** The searches of a round, one after the other. */
  searchAll(queries: readonly string[]): Promise<unknown>
}

/**
 * Searching 100,000 notes of one owner. `keelson`: through the client of a runtime; `HTTP`: through the route of a surface
 * on Express, with a client on another thread; `bare`: the statement alone, for the same rows in the same order. Options:
 * `file`, which is copied.
 */
export const start: StartJob = async (name, { file: original }) => {
  const file = join(temporaryFolder(), 'notes.db')
  copyFileSync(String(original), file)
  const { search, searchAll } = await subjectOf(name, file)
  for (const { least, query, searches } of Object.values(kinds)) {
    for (let number = 0; number < Math.min(searches, 20); number += 1) {
      const found = await search(query(number))
      if (found < least || found > limit) throw new Error(`${found} notes were found for ${query(number)}`)
    }
  }
  const measure = ({ query, searches }: Kind) => {
    const queries = Array.from({ length: searches }, (_, number) => query(number))
    return timed(searches, () => searchAll(queries))
  }
  const round = async () => {
    const rare = await measure(kinds.rare)
    const usual = await measure(kinds.usual)
    const common = await measure(kinds.common)
    const twoWords = await measure(kinds.twoWords)
    let substringMs = 0
    const stretchMs = await longestStretch(async () => {
      // Not done on this thread.
      substringMs = (await measure(kinds.substring)).us / 1_000
    })
    return {
      rareUs: rare.cpuUs,
      usualUs: usual.cpuUs,
      commonUs: common.cpuUs,
      twoWordsUs: twoWords.cpuUs,
      substringMs,
      stretchMs,
    }
  }
  await round()
  return { round }
}

function subjectOf(name: string, file: string): Promise<Subject> | Subject {
  if (name === 'HTTP') return overHttp(file)
  const search = name === 'bare' ? searchBare(new DatabaseSync(file)) : searchKeelson(file)
  return {
    search,
    async searchAll(queries) {
      for (const query of queries) await search(query)
    },
  }
}

const columns = ['id', 'path', 'title', 'type', 'status', 'tags', 'priority', 'due', 'parent_path', 'reminder']
  .concat('created_at', 'updated_at')
  .map((column) => `notes.${column}`)
  .join(', ')

function searchBare(database: DatabaseSync): Search {
  const words = database.prepare(`
    select ${columns} from note_words join notes on notes.number = note_words.rowid
    where note_words match ? order by rank limit ${limit}`)
  const substring = database.prepare(`
    select ${columns} from notes where tenant = 'default' and subject = 'owner' and search_text like ?
    order by updated_at desc, created_at desc, id desc limit ${limit}`)
  return async (query) => {
    const all = query.split(' ').map((word) => `"${word}"*`)
    return words.all(all.join(' ')).length || substring.all(`%${query}%`).length
  }
}

function searchKeelson(file: string): Search {
  const runtime = createRuntime({ store: sqliteStore(file), providers: [], agents: [] })
  const { notes: door } = runtime.as(singleOwner('bench'))
  return async (query) => (await door.search({ query, limit })).length
}

async function overHttp(file: string): Promise<Subject> {
  const { listener } = await agentServer(scriptedProvider(makeScript(1, 0)), 'mycelos', sqliteStore(file))
  const port = await listen(await listener('Express'))
  const load = startLoadGenerator()
  const path = '/ai/api/knowledge/search'
  const bodyOf = (query: string) => JSON.stringify({ query })
  return {
    async search(query) {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers, body: bodyOf(query) })
      return ((await answer.json()) as unknown[]).length
    },
    searchAll(queries) {
      const requests = queries.map((query) => ({ method: 'POST', path, body: bodyOf(query) }) as const)
      return load.send({ port, requests, concurrency: 1 })
    },
  }
}
