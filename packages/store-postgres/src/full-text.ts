import type { FullText } from '@keelson/store-kysely'
import { sql } from 'kysely'

/** What a document can say of its words' places. */
const lastPosition = 16_383
const mostPositions = 255

/** No word begins with it. */
const scopeMark = '@'

/** Words have none of these signs, scopes are the callers' names. */
const quoted = (lexeme: string): string => `'${lexeme.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

const scopeLexeme = (scope: string): string => quoted(scopeMark + scope)

/**
 * A `tsvector` written out: no parser and no dictionary of the server, whose locale and version may be any, reads the
 * words. Scopes are lexemes, so that the index finds only what the caller may see.
 */
export const fullText: FullText = {
  create: (index) => [
    `create table ${index} (rowid bigint not null primary key, terms tsvector not null)`,
    `create index ${index}_of_terms on ${index} using gin (terms)`,
  ],

  terms(words, scopes) {
    const positions = new Map<string, number[]>()
    words.forEach((word, index) => {
      const known = positions.get(word)
      if (known === undefined) positions.set(word, [Math.min(index + 1, lastPosition)])
      else if (known.length < mostPositions && index < lastPosition) known.push(index + 1)
    })
    const lexemes = [...positions].map(([word, at]) => `${quoted(word)}:${at.join(',')}`)
    return [...lexemes, ...scopes.map(scopeLexeme)].join(' ')
  },

  stored: (terms) => sql<string>`cast(${terms} as tsvector)`,

  query({ terms, match, scope }) {
    const words = terms.map(({ word, prefix }) => `${quoted(word)}${prefix ? ':*' : ''}`)
    const wanted = words.join(match === 'all' ? ' & ' : ' | ')
    return { match: `${scopeLexeme(scope)} & (${wanted})`, rank: words.join(' | ') }
  },

  matches: (index, match) => sql`${sql.ref(`${index}.terms`)} @@ cast(${match} as tsquery)`,

  // Divided by the logarithm of the length: of two with the same words the shorter one is better.
  score: (index, rank) => sql`ts_rank(${sql.ref(`${index}.terms`)}, cast(${rank} as tsquery), 1)`,
}
