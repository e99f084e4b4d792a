import type { FullText } from '@keelson/store-kysely'
import { sql } from 'kysely'

/**
 * FTS5 without a copy of the text. To the tokenizer `ascii` everything that is no ASCII is a letter, so that words parted
 * by spaces come out as they went in; Unicode tables of another version than the folding's have no say. Scopes are not
 * used: as a term they would have to be counted through for the rank of every query.
 */
export const fullText: FullText = {
  create: (index) => [
    `create virtual table ${index} using fts5(terms, content = '', contentless_delete = 1, tokenize = 'ascii')`,
  ],

  terms: (words) => words.join(' '),

  stored: (terms) => terms,

  query({ terms, match }) {
    const strings = terms.map(({ word, prefix }) => `"${word.replaceAll('"', '')}"${prefix ? '*' : ''}`)
    return { match: strings.join(match === 'all' ? ' ' : ' OR '), rank: '' }
  },

  matches: (index, match) => sql`${sql.id(index)} match ${match}`,

  score: (index) => sql`-bm25(${sql.id(index)})`,
}
