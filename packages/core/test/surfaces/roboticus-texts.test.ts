import { loopErrors } from '@keelson/core'
import { describe, expect, test } from 'vitest'
import { ShownText } from '../../src/capabilities/realtime/index.ts'
import { defineErrors } from '../../src/kernel/errors.ts'
import { storeErrors } from '../../src/stores.ts'
import { encodeError } from '../../src/surfaces/roboticus/errors.ts'
import { dollars, nameOfAuthority, providerOf, rfc3339, sqliteUtc } from '../../src/surfaces/roboticus/formats.ts'
import { modelTitle, ruleTitle } from '../../src/surfaces/roboticus/nickname.ts'

describe('the rule title', () => {
  test.each<[string | null, string]>([
    [null, 'Untitled'],
    ['', 'Untitled'],
    ['  \n ', 'Untitled'],
    ['Hi', 'Untitled'],
    ['hello!', 'Untitled'],
    ['Hey, what is the time?', 'What is the time'],
    ['can you book a flight. Thanks', 'Book a flight'],
    ['Could you  sum\tthis up', 'Sum this up'],
    ['PLEASE: help', 'Help'],
    ['help me write a poem\nabout cats', 'Write a poem'],
    ['I need a lawyer', 'A lawyer'],
    ['hi can you stay', 'Can you stay'],
    ['history of Rome', 'History of Rome'],
    ['Yoga for beginners', 'Yoga for beginners'],
    ['I wanted to ask something', 'I wanted to ask something'],
    ['éclair recipes', 'Éclair recipes'],
    ['x'.repeat(50), `X${'x'.repeat(49)}`],
    ['x'.repeat(80), `X${'x'.repeat(49)}...`],
    [
      'compare the three largest libraries for state management in detail',
      'Compare the three largest libraries for state...',
    ],
    ['😀'.repeat(70), `${'😀'.repeat(50)}...`],
    ['a\u0007b\u0000c', 'A b c'],
  ])('of %j is %j', (message, title) => {
    expect(ruleTitle(message)).toBe(title)
  })
})

describe('a model’s title', () => {
  test.each<[string, string | null]>([
    ['A Trip to Norway', 'A Trip to Norway'],
    ['  "A trip to Norway."  \n', 'A trip to Norway'],
    ['“Ein Ausflug ins Grüne”', 'Ein Ausflug ins Grüne'],
    ['Two words', null],
    ['one two three four five six seven', null],
    ['one two\nthree', null],
    [`one two ${'x'.repeat(60)}`, null],
    ['', null],
    ['one two\u0000 three', null],
  ])('%j is taken as %j', (answer, title) => {
    expect(modelTitle(answer)).toBe(title)
  })
})

describe('what is shown of a text that starts over', () => {
  type Does = readonly ('begin' | 'restart' | { add: string })[]
  const shownOf = (does: Does) => {
    const text = new ShownText()
    return does
      .map((what) => {
        if (what === 'begin') text.begin()
        else if (what === 'restart') text.restart()
        else return text.add(what.add)
        return ''
      })
      .join('')
  }
  const add = (text: string) => ({ add: text })

  test.each<[string, Does, string]>([
    ['steps stand apart', ['begin', add('One.'), 'begin', add('Two.'), add(' More.')], 'One.\n\nTwo. More.'],
    ['a step without text leaves no gap', ['begin', 'begin', add('One.')], 'One.'],
    ['the same again is shown once', ['begin', add('ab'), 'restart', add('ab'), add('cd')], 'abcd'],
    ['in other pieces too', ['begin', add('ab'), add('cd'), 'restart', add('abcde'), add('f')], 'abcdef'],
    ['what differs begins a paragraph', ['begin', add('abc'), 'restart', add('abx'), add('y')], 'abc\n\nabxy'],
    ['from the first character on', ['begin', add('abc'), 'restart', add('x')], 'abc\n\nx'],
    ['a restart before any text is nothing', ['begin', 'restart', add('abc')], 'abc'],
    ['a second restart', ['begin', add('abc'), 'restart', add('a'), 'restart', add('abcd')], 'abcd'],
    ['a restart after another text', ['begin', add('ab'), 'restart', add('xy'), 'restart', add('xyz')], 'ab\n\nxyz'],
    ['in a later step', ['begin', add('A'), 'begin', add('B'), 'restart', add('B'), add('C')], 'A\n\nBC'],
    ['an empty first try', ['begin', add('A'), 'begin', 'restart', add('B'), 'restart', add('BC')], 'A\n\nBC'],
  ])('%s', (_, does, shown) => {
    expect(shownOf(does)).toBe(shown)
  })
})

describe('formats', () => {
  test('times, money and names', () => {
    const at = Date.UTC(2026, 1, 3, 4, 5, 6, 789)
    expect(sqliteUtc(at)).toBe('2026-02-03 04:05:06')
    expect(rfc3339(at)).toBe('2026-02-03T04:05:06.789Z')
    expect(dollars(1_500_000_000_000)).toBe(1.5)
    expect(dollars(null)).toBe(0)
    expect(providerOf('ollama/qwen3:8b')).toBe('ollama')
    expect(providerOf('hub/org/model')).toBe('hub')
    expect(['creator', 'self-generated', 'peer', 'external', 'odd'].map(nameOfAuthority)).toEqual([
      'Creator',
      'SelfGenerated',
      'Peer',
      'External',
      'External',
    ])
  })
})

describe('an error body', () => {
  const made = defineErrors({
    SECRET_DEFECT: { kind: 'internal', message: 'password=hunter2 in /srv/app.ts' },
    LONG: { kind: 'bad_request', message: `${'é'.repeat(300)}` },
    LINES: { kind: 'bad_request', message: 'first line\nsecond line' },
  })

  test('says nothing of a defect', () => {
    expect(encodeError(made.SECRET_DEFECT())).toEqual({ status: 500, body: { error: 'internal error' } })
  })

  test('is one line of at most 200 characters', () => {
    expect(encodeError(made.LONG()).body).toEqual({ error: 'é'.repeat(200) })
    expect(encodeError(made.LINES()).body).toEqual({ error: 'first line' })
  })

  test('says nothing of the database', () => {
    for (const make of Object.values(storeErrors)) {
      expect(encodeError(make())).toEqual({ status: 503, body: { error: 'the storage is not available' } })
    }
  })

  test('has a status that the document knows, for every way a turn can fail', () => {
    const known = [400, 403, 404, 409, 413, 422, 429, 500, 502, 503]
    for (const make of Object.values(loopErrors)) expect(known).toContain(encodeError(make()).status)
  })
})
