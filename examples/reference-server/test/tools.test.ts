import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ToolContext } from '@keelson/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { evaluate } from '../src/arithmetic.ts'
import { assistantTools, fileNameOf } from '../src/tools.ts'

describe('the calculator', () => {
  test.each<[string, number]>([
    ['1', 1],
    ['6*7', 42],
    [' 2 + 3 * 4 ', 14],
    ['(2 + 3) * 4', 20],
    ['10 - 4 - 3', 3],
    ['100 / 10 / 2', 5],
    ['2 ^ 3 ^ 2', 512],
    ['-2 ^ 2', -4],
    ['(-2) ^ 2', 4],
    ['2 ^ -2', 0.25],
    ['2 * -3', -6],
    ['--5', 5],
    ['+5', 5],
    ['.5 + 1.', 1.5],
    ['0.1 + 0.2', 0.3],
    ['1.005 * 1000', 1005],
    ['4 ^ 0.5', 2],
    ['0 * -1', 0],
    ['007', 7],
    ['((((1))))', 1],
    ['10 ^ 300', 1e300],
  ])('%s is %d', (expression, value) => {
    expect(evaluate(expression)).toBeCloseTo(value, 12)
    expect(Object.is(evaluate(expression), -0)).toBe(false)
  })

  test.each([
    ['', 'ends too early'],
    ['   ', 'ends too early'],
    ['1 +', 'ends too early'],
    ['(1', 'not closed'],
    ['1)', 'unexpected )'],
    ['1 2', 'unexpected 2'],
    ['1 // 2', 'unexpected /'],
    ['1 ** 2', 'unexpected *'],
    ['* 2', 'unexpected *'],
    ['()', 'unexpected )'],
    ['1..2', 'unexpected 0.2'],
    ['.', 'unexpected "."'],
    ['1,5', 'unexpected ","'],
    ['2x', 'unexpected "x"'],
    ['process.exit(1)', 'unexpected "p"'],
    ['constructor', 'unexpected "c"'],
    ['1e3', 'unexpected "e"'],
    ['5 % 2', 'unexpected "%"'],
    ['1 / 0', 'division by zero'],
    ['1 / (2 - 2)', 'division by zero'],
    ['0 / 0', 'division by zero'],
    ['0 ^ -1', 'division by zero'],
    ['10 ^ 400', 'not a number'],
    ['(-1) ^ 0.5', 'not a number'],
    ['('.repeat(200), 'too deeply'],
    ['-'.repeat(200), 'too deeply'],
    ['2^'.repeat(200), 'too deeply'],
    ['1'.repeat(1_001), 'longer than'],
  ])('refuses %j', (expression, problem) => {
    expect(() => evaluate(expression)).toThrow(problem)
  })
})

describe('the name of a note', () => {
  test.each([
    ['Shopping list', 'shopping-list'],
    ['Übung: Größe', 'ubung-gro-e'],
    ['../../etc/passwd', 'etc-passwd'],
    ['..\\..\\windows', 'windows'],
    ['/abs/olute', 'abs-olute'],
    ['a\0b\nc', 'a-b-c'],
    ['CON', 'con'],
    ['日本', 'note'],
    ['...', 'note'],
    ['', 'note'],
    ['x'.repeat(200), 'x'.repeat(60)],
  ])('for %j stays in its folder', (title, slug) => {
    expect(fileNameOf(title, 'key')).toMatch(new RegExp(`^${slug}-[0-9a-f]{12}\\.txt$`))
  })

  test('is the same for the same call only', () => {
    expect(fileNameOf('a', 'one')).toBe(fileNameOf('a', 'one'))
    expect(fileNameOf('a', 'one')).not.toBe(fileNameOf('a', 'two'))
  })
})

describe('the tools', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keelson-notes-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const context = (idempotencyKey: string): ToolContext => ({
    signal: new AbortController().signal,
    turn: 't',
    session: 's',
    tenant: 'default',
    subject: 'owner',
    agent: 'assistant',
    idempotencyKey,
    call: () => Promise.reject(new Error('no operation is called here')),
  })
  const tool = (name: string) => {
    const found = assistantTools(join(folder, 'deep', 'notes')).find((each) => each.name === name)
    if (!found) throw new Error(`no tool ${name}`)
    return found
  }

  test('are safe, except for the one that writes, which always asks', () => {
    expect(
      assistantTools(folder).map(({ name, risk, approval, idempotent }) => [name, risk, approval, idempotent]),
    ).toEqual([
      ['calculator', 'safe', 'policy', false],
      ['clock', 'safe', 'policy', false],
      ['write_note', 'caution', 'always', true],
    ])
  })

  test('the clock tells the time in UTC', async () => {
    const time = String(await tool('clock').execute({}, context('k')))
    expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000)
    expect(time).toMatch(/Z$/)
  })

  test('a note is written once per call, as a whole', async () => {
    const note = { title: 'Keys', text: 'Under the mat. é' }
    const written = await tool('write_note').execute(note, context('one'))
    expect(await tool('write_note').execute(note, context('one'))).toEqual(written)
    await tool('write_note').execute(note, context('two'))
    const notes = join(folder, 'deep', 'notes')
    const files = await readdir(notes)
    expect(files.toSorted()).toEqual([fileNameOf('Keys', 'one'), fileNameOf('Keys', 'two')].toSorted())
    expect(written).toEqual({ file: fileNameOf('Keys', 'one'), bytes: 17 })
    expect(await readFile(join(notes, fileNameOf('Keys', 'one')), 'utf8')).toBe('Under the mat. é')
  })

  test.each([
    ['calculator', {}],
    ['calculator', { expression: 5 }],
    ['calculator', { expression: '' }],
    ['write_note', { title: 'x' }],
    ['write_note', { title: 'x', text: '' }],
    ['write_note', { title: 'x', text: 'x'.repeat(20_001) }],
  ])('%s refuses the arguments %j', async (name, args) => {
    expect(await tool(name).check(args)).toMatchObject({ ok: false })
  })
})
