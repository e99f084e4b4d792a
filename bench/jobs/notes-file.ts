import { DatabaseSync } from 'node:sqlite'
import { sqliteStore } from '@keelson/store-sqlite'

const notes = 100_000
const wordsPerNote = 40
const wordsPerTitle = 4
const vocabulary = 20_000

/** How many notes of the file have each word of a kind, give or take a third. */
export const notesOf = { rare: 45, usual: 1_000, common: 10_000 } as const

export type WordKind = keyof typeof notesOf

/** The more often a word occurs, the lower its rank. */
const firstRank: Readonly<Record<WordKind, number>> = { rare: 9_000, usual: 400, common: 30 }
const wordsPerKind = 20

const syllables = ['ba', 'ko', 'ri', 'tu', 'ne', 'la', 'mo', 'si', 'du', 'ge', 'po', 'fa', 'vi', 'ru', 'ze', 'ha']
/** A word for every rank, none the beginning of another. */
const wordOf = (rank: number): string =>
  [...rank.toString(16).padStart(4, '0')].map((digit) => syllables[Number.parseInt(digit, 16)]).join('')

/** Another word of the kind for each of twenty numbers. */
export const noteWord = (kind: WordKind, number: number): string => wordOf(firstRank[kind] + (number % wordsPerKind))

/**
 * Makes a database file with 100,000 notes of one owner, whose words occur as often as those of a language do: the rows
 * that the store would make, in one transaction. Throws when the words do not occur as often as they should.
 */
export async function makeNotesFile(file: string): Promise<void> {
  const store = sqliteStore(file)
  await store.open()
  await store.close()
  const database = new DatabaseSync(file)
  // Only while nobody else has the file, and nothing is lost with it.
  database.exec('pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -200000')
  fill(database)
  check(database)
  database.exec('pragma journal_mode = wal')
  database.close()
}

function fill(database: DatabaseSync): void {
  let seed = 1
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }
  const words = Array.from({ length: vocabulary }, (_, rank) => wordOf(rank))
  const insertNote = database.prepare(`
    insert into notes (number, id, tenant, subject, path, base_path, path_number, title, type, status, tags, priority, due,
      parent_path, reminder, created_at, updated_at, search_text, content)
    values (?1, 'note ' || ?1, 'default', 'owner', ?2, ?2, 1, ?3, 'note', 'active', '[]', 0, null,
      'notes', 0, ?1, 0, ?3 || char(10) || ?2, ?4)`)
  const insertWords = database.prepare('insert into note_words (rowid, terms) values (?, ?)')
  database.exec(`begin; insert into note_owners values (1, 'default', 'owner', ${notes})`)
  for (let number = 2 ** 26 + 1; number <= 2 ** 26 + notes; number += 1) {
    const chosen = Array.from({ length: wordsPerNote }, () => words[Math.floor(vocabulary ** random())] ?? '')
    const title = chosen.slice(0, wordsPerTitle).join(' ')
    insertNote.run(
      number,
      `notes/${title.replaceAll(' ', '-')}-${number}`,
      title,
      chosen.slice(wordsPerTitle).join(' '),
    )
    insertWords.run(number, chosen.join(' '))
  }
  database.exec('commit')
}

function check(database: DatabaseSync): void {
  const count = database.prepare('select count(*) as notes from note_words where note_words match ?')
  for (const [kind, wanted] of Object.entries(notesOf)) {
    for (let number = 0; number < wordsPerKind; number += 1) {
      const word = noteWord(kind as WordKind, number)
      const found = Number(count.get(`"${word}"`)?.['notes'])
      if (found < wanted * (2 / 3) || found > wanted * (4 / 3)) throw new Error(`${found} notes have ${word}`)
    }
  }
}
