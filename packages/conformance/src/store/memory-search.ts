import { foldText, type NewNote, type Reach, searchWords } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { newNote } from './memory-notes.ts'
import { ada, bob, everything, operator, type StoreSubject, start, stranger, useScene } from './scene.ts'

/** A document of each sort, by the name that the cases below give it. */
const documents: Readonly<Record<string, Partial<NewNote>>> = {
  soup: { title: 'Gemüsesuppe', content: 'Möhren, Sellerie und Käse. Große Straße 5.', tags: ['Küche'] },
  french: { title: "L'été à Orléans", content: 'Cœur, garçon, naïve. Œuvre complète.', tags: ['voyage'] },
  greek: { title: 'Οδύσσεια', content: 'ΟΔΟΣ και οδός, άνθρωπος', tags: ['ἔπος'] },
  turkish: { title: 'İstanbul', content: 'ISPARTA ılık Iğdır dır', tags: ['şehir'] },
  nordic: { title: 'Ålesund og Tromsø', content: 'Łódź, Þingvellir, đakovo', tags: [] },
  russian: { title: 'Ёлка и чайка', content: 'Москва', tags: ['зима'] },
  japanese: { title: '東京都庁', content: 'がんばれ、コンピューター。', tags: ['日本'] },
  korean: { title: '서울특별시', content: '한국어 문서', tags: [] },
  chinese: { title: '知识库', content: '全文搜索很有用', tags: ['搜索'] },
  thai: { title: 'ภาษาไทย', content: 'กรุงเทพ', tags: [] },
  hindi: { title: 'हिन्दी', content: 'किताब और कलम', tags: [] },
  hebrew: { title: 'שָׁלוֹם', content: 'עברית', tags: [] },
  arabic: { title: 'مُحَمَّد', content: 'العربية', tags: [] },
  emoji: { title: 'Launch 🚀', content: '👩‍🚀 and 🇩🇪 and ❤️ and 👍🏽', tags: ['🔥'] },
  numbers: { title: 'Invoice 2026-11-22', content: 'Total 1e5 or 3.14159 or 0x1F, v1.2.3, 12:30', tags: ['#42'] },
  marks: {
    title: "O'Brien's well-known e-mail",
    content: 'user@example.com https://example.org/a/b?c=d',
    tags: ['c++'],
  },
  operators: { title: 'AND OR NOT NEAR', content: 'column:value "quoted" (bracket) ^caret -minus *star', tags: [] },
  long: { title: 'Long', content: `${'x'.repeat(5_000)} ${'Donaudampfschifffahrts'.repeat(20)}`, tags: [] },
  widths: { title: 'ＦＵＬＬ ｗｉｄｔｈ', content: 'ﬁne ﬂow ① ² ℌ 𝒦eel', tags: [] },
  wild: { title: '100% sure', content: 'snake_case', tags: ['a\\b', 'under_score'] },
  empty: { title: '…', content: '', tags: [] },
}

/** What a query finds, all of its words as beginnings. */
const cases: readonly (readonly [query: string, found: readonly string[]])[] = [
  ['gemuse', ['soup']],
  ['GEMÜSE', ['soup']],
  ['gemu\u0308se', ['soup']],
  ['suppe', []],
  ['strasse', ['soup']],
  ['STRAẞE', ['soup']],
  ['kase große', ['soup']],
  ['kuche', ['soup']],
  ['gemüse tokyo', []],
  ['ete', ['french']],
  ["l'été", ['french']],
  ['coeur', ['french']],
  ['Œuvre', ['french']],
  ['naive garcon', ['french']],
  ['οδυσσεια', ['greek']],
  ['ΟΔΥΣΣΕΙΑ', ['greek']],
  ['οδοσ', ['greek']],
  ['οδός', ['greek']],
  ['επος', ['greek']],
  ['istanbul', ['turkish']],
  ['İSTANBUL', ['turkish']],
  ['isparta ilik', ['turkish']],
  ['ığdır', ['turkish']],
  ['sehir', ['turkish']],
  ['alesund tromso', ['nordic']],
  ['lodz', ['nordic']],
  ['thingvellir', ['nordic']],
  ['елка', ['russian']],
  ['МОСК', ['russian']],
  ['чаика', ['russian']],
  ['東京', ['japanese']],
  ['都庁', ['japanese']],
  ['コンピュータ', ['japanese']],
  ['か', []],
  ['が', ['japanese']],
  ['서울', ['korean']],
  ['울특', []],
  ['문서 한국', ['korean']],
  ['搜索', ['chinese']],
  ['索搜', ['chinese']],
  ['日本', ['japanese']],
  ['ไทย', ['thai']],
  ['किताब', ['hindi']],
  ['काताब', []],
  ['שלום', ['hebrew']],
  ['محمد', ['arabic']],
  ['🚀', ['emoji']],
  ['🔥', ['emoji']],
  ['❤', ['emoji']],
  ['👍', ['emoji']],
  ['🐢', []],
  ['2026', ['numbers']],
  ['2026-11', ['numbers']],
  ['1e5', ['numbers']],
  ['1e', ['numbers']],
  ['3.14', ['numbers']],
  ['0x1f', ['numbers']],
  ['v1', ['numbers']],
  ['42', ['numbers']],
  ['202', ['numbers']],
  ["o'brien", ['marks']],
  ["O'Brien's", ['marks']],
  ['well-known', ['marks']],
  ['well known', ['marks']],
  ['wellknown', []],
  ['user@example.com', ['marks']],
  ['https://example.org/a/b?c=d', ['marks']],
  ['example', ['marks']],
  ['c++', ['french', 'marks', 'operators', 'wild']],
  ['OR', ['french', 'marks', 'numbers', 'operators']],
  ['AND', ['emoji', 'operators']],
  ['NOT near', ['operators']],
  ['NEAR(a b)', ['operators']],
  ['column:value', ['operators']],
  ['title:keel', []],
  ['"quoted"', ['operators']],
  ['"quoted', ['operators']],
  ['quo"ted', []],
  ['(bracket', ['operators']],
  ['^caret', ['operators']],
  ['-minus', ['operators']],
  ['*star*', ['operators']],
  ['min*', ['operators']],
  ["'; drop table notes; --", []],
  ['a & b | !c <-> d', ['marks']],
  ["quoted\\'", ['operators']],
  ['xxxx', ['long']],
  ['x'.repeat(64), ['long']],
  ['x'.repeat(6_000), ['long']],
  ['donaudampf', ['long']],
  ['full width', ['widths']],
  ['fine flow', ['widths']],
  ['keel', ['widths']],
  ['100', ['wild']],
  ['snake', ['wild']],
  ['case', ['wild']],
  ['%', []],
  ['_', []],
  ['', []],
  ['...', []],
  ['\0', []],
  ['\ud800', []],
]

/** What a text is found in as it is. */
const substrings: readonly (readonly [text: string, found: readonly string[]])[] = [
  ['suppe', ['soup']],
  ['SUPPE', ['soup']],
  ['esund', ['nordic']],
  ['brien', ['marks']],
  ['%', ['wild']],
  ['_', ['wild']],
  ['0%', ['wild']],
  ['a\\b', ['wild']],
  ['r_score', ['wild']],
  ['rXscore', []],
  ['sellerie', []],
  ['notes/so', ['soup']],
  ['王', []],
  ['京都', ['japanese']],
  ["'", ['french', 'marks']],
  ['"', []],
  ['…', ['empty']],
]

export function describeNoteSearch(subject: StoreSubject): void {
  describe('note search', () => {
    const scene = useScene(subject)
    const memory = () => scene().store.memory
    const create = async (name: string, values: Partial<NewNote> = {}, owner = ada) => {
      await memory().createNote(owner, newNote({ path: `notes/${name}`, id: name, ...values }))
    }
    const fill = async () => {
      for (const [name, values] of Object.entries(documents)) await create(name, values)
    }
    const terms = (query: string, prefix = true) => [...new Set(searchWords(query))].map((word) => ({ word, prefix }))
    const search = async (query: string, reach: Reach = ada, window = everything, filter = {}) =>
      (await memory().searchNotes(reach, terms(query), window, filter)).map(({ id }) => id)
    const recall = async (query: string, limit = 100, prefix = true) =>
      await memory().recallNotes(ada, terms(query, prefix), { limit, characters: 20 })

    it('finds the same on every engine', async () => {
      await fill()
      const found: Record<string, string[]> = {}
      for (const [query] of cases) found[query] = (await search(query)).toSorted()
      const expected = Object.fromEntries(cases.map(([query, names]) => [query, names.toSorted()]))
      expect(found).toEqual(expected)
    })

    it('finds texts within title, path and tags, where nothing stands for anything else', async () => {
      await fill()
      const found: Record<string, string[]> = {}
      for (const [text] of substrings) {
        const notes = await memory().notesContaining(ada, foldText(text), everything)
        found[text] = notes.map(({ id }) => id).toSorted()
      }
      expect(found).toEqual(Object.fromEntries(substrings.map(([text, names]) => [text, names.toSorted()])))
    })

    it('has the better match first where that is clear', async () => {
      const filler = 'wind water wood rope tar sail oar deck hull bow stern anchor chain cabin galley rudder '
      await create('long', { title: 'a', content: `keel ${filler.repeat(20)}` })
      await create('often', { title: 'b', content: 'keel keel keel mast' })
      await create('once', { title: 'c', content: 'keel sail boat mast' })
      await create('none', { title: 'd', content: filler })
      for (const query of ['keel', 'kee']) expect(await search(query), query).toEqual(['often', 'once', 'long'])
      expect(await search('keel mast')).toEqual(['often', 'once'])
    })

    it('has the note that was stored last first among equals', async () => {
      for (const name of ['n2', 'n1', 'n3']) await create(name)
      for (const reach of [ada, operator]) expect(await search('keel', reach)).toEqual(['n3', 'n1', 'n2'])
      expect(await search('keel', ada, { limit: 1, offset: 1 })).toEqual(['n1'])
      await memory().updateNote(ada, 'n1', { priority: 1 }, start + 9)
      expect((await memory().notesContaining(ada, 'keel', everything)).map(({ id }) => id)).toEqual(['n1', 'n3', 'n2'])
    })

    it('keeps to the reach and the filter', async () => {
      await create('mine', { type: 'task', status: 'open', parentPath: 'topics/t' })
      await create('done', { type: 'task', status: 'archived' })
      await create('his', { type: 'task' }, bob)
      await create('foreign', { type: 'task' }, stranger)
      const long = { tenant: 't'.repeat(3_000), subject: `'\\ ${'s'.repeat(3_000)}` }
      await create('odd', {}, long)
      expect((await search('keel', operator)).toSorted()).toEqual(['done', 'his', 'mine'])
      expect((await search('keel')).toSorted()).toEqual(['done', 'mine'])
      expect(await search('keel', bob)).toEqual(['his'])
      expect(await search('keel', long)).toEqual(['odd'])
      expect(await search('keel', ada, everything, { type: 'task', status: 'open' })).toEqual(['mine'])
      expect(await search('keel', operator, everything, { parentPath: 'topics/t' })).toEqual(['mine'])
      expect(await search('keel', ada, everything, { type: 'fact' })).toEqual([])
    })

    it('finds whole words where beginnings do not count', async () => {
      await create('one', { title: 'cat', content: '' })
      await create('two', { title: 'category', content: '' })
      expect((await recall('cat', 10, false)).map(({ path }) => path)).toEqual(['notes/one'])
      expect((await recall('cat')).map(({ path }) => path)).toHaveLength(2)
    })

    it('recalls what has any of the words and is not archived, the best first, cut', async () => {
      await create('both', { title: 'Keel and mast', content: 'short' })
      await create('one', { title: 'Mast', content: 'It stands up high above the deck.' })
      await create('away', { title: 'Keel and mast', status: 'archived' })
      await create('none', { title: 'Other', content: 'thing' })
      await create('his', { title: 'Keel and mast' }, bob)
      const found = await recall('keel mast unknown')
      expect(found.map(({ cut, content, path, title }) => ({ cut, content, path, title }))).toEqual([
        { path: 'notes/both', title: 'Keel and mast', content: 'short', cut: false },
        { path: 'notes/one', title: 'Mast', content: 'It stands up high ab', cut: true },
      ])
      expect(found[0]?.score).toBeGreaterThan(found[1]?.score ?? 0)
      expect(await recall('keel mast', 1)).toHaveLength(1)
      expect(await recall('...')).toEqual([])
    })

    it('takes a text of the greatest size and of the most words', { timeout: 30_000 }, async () => {
      const many = Array.from({ length: 60_000 }, (_, index) => index.toString(36)).join(' ')
      await create('many', { content: many.slice(0, 262_144) })
      await create('wide', { content: '漢'.repeat(87_000) })
      const distinct = Array.from({ length: 20_000 }, (_, index) => String.fromCodePoint(0x4e00 + index)).join('')
      await create('distinct', { content: distinct.repeat(4) })
      await create('same', { content: 'keel '.repeat(52_000) })
      await create('ligatures', { content: '\ufdfa'.repeat(80_000) })
      expect(await search('1a')).toContain('many')
      expect((await search('漢')).toSorted()).toEqual(['distinct', 'wide'])
      expect(await search('keel')).toContain('same')
    })
  })
}
