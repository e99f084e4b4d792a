import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createRuntime, singleOwner } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { timed } from '../harness/clocks.ts'
import { temporaryFolder } from '../harness/folder.ts'
import type { StartJob } from '../harness/job.ts'

const notes = 100_000
const wordsPerNote = 40
const vocabulary = 20_000
const limit = 50

/** Words by how often they occur: the more often, the lower the rank. Of `common` ones a tenth of all notes has each. */
const ranks = { rare: 9_000, usual: 400, common: 45 }
const searchesPerRound = { rare: 200, usual: 40, common: 6 }

const syllables = ['ba', 'ko', 'ri', 'tu', 'ne', 'la', 'mo', 'si', 'du', 'ge', 'po', 'fa', 'vi', 'ru', 'ze', 'ha']
/** A word for every rank, none the beginning of another. */
const wordOf = (rank: number): string =>
  [...rank.toString(16).padStart(4, '0')].map((digit) => syllables[Number.parseInt(digit, 16)]).join('')

/**
 * Searching 100,000 notes of one owner. `keelson`: through the client of a runtime; `bare`: the full-text statement
 * alone, for the same rows in the order of their rank.
 */
export const start: StartJob = async (name) => {
  const file = join(temporaryFolder(), 'notes.db')
  const store = sqliteStore(file)
  await store.open()
  await store.close()
  fill(file)
  const search = name === 'bare' ? searchBare(new DatabaseSync(file)) : searchKeelson(file)
  const measure = (kind: keyof typeof ranks) =>
    timed(searchesPerRound[kind], async () => {
      for (let count = 0; count < searchesPerRound[kind]; count += 1) {
        const found = await search(wordOf(ranks[kind] + (count % 20)))
        if (found < 1 || (kind !== 'rare' && found !== limit)) throw new Error(`${found} notes were found`)
      }
    })
  const round = async () => {
    const [rare, usual, common] = [await measure('rare'), await measure('usual'), await measure('common')]
    return { rareUs: rare.us, usualUs: usual.us, commonUs: common.us }
  }
  await round()
  return { round }
}

type Search = (word: string) => Promise<number>

function searchBare(database: DatabaseSync): Search {
  const select = database.prepare(`
    select notes.id, notes.path, notes.title, notes.type, notes.status, notes.tags, notes.priority, notes.due,
      notes.parent_path, notes.reminder, notes.created_at, notes.updated_at
    from note_words join notes on notes.number = note_words.rowid
    where note_words match ? order by rank limit ${limit}`)
  return async (word) => select.all(`"${word}"*`).length
}

function searchKeelson(file: string): Search {
  const runtime = createRuntime({ store: sqliteStore(file), providers: [], agents: [] })
  const { notes: door } = runtime.as(singleOwner('bench'))
  return async (word) => (await door.search({ query: word, limit })).length
}

/** Rows as the store makes them, in one transaction. The same for every subject. */
function fill(file: string): void {
  const database = new DatabaseSync(file)
  database.exec('pragma synchronous = off; pragma cache_size = -200000')
  let seed = 1
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }
  const insertNote = database.prepare(`
    insert into notes (number, id, tenant, subject, path, base_path, path_number, title, type, status, tags, priority, due,
      parent_path, reminder, created_at, updated_at, search_text, content)
    values (?1, 'note ' || ?1, 'default', 'owner', 'notes/n' || ?1, 'notes/n' || ?1, 1, ?2, 'note', 'active', '[]', 0, null,
      'notes', 0, ?1, 0, ?2, ?3)`)
  const words = Array.from({ length: vocabulary }, (_, rank) => wordOf(rank))
  const insertWords = database.prepare('insert into note_words (rowid, terms) values (?, ?)')
  database.exec(`begin; insert into note_owners values (1, 'default', 'owner', ${notes})`)
  for (let number = 2 ** 26 + 1; number <= 2 ** 26 + notes; number += 1) {
    const chosen = Array.from({ length: wordsPerNote }, () => words[Math.floor(vocabulary ** random())] ?? '')
    insertNote.run(number, chosen.slice(0, 4).join(' '), chosen.slice(4).join(' '))
    insertWords.run(number, chosen.join(' '))
  }
  database.exec('commit')
  database.close()
}
