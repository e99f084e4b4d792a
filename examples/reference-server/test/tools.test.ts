import type { ToolContext } from '@keelson/core'
import { describe, expect, test } from 'vitest'
import { evaluate } from '../src/arithmetic.ts'
import { assistantTools } from '../src/tools.ts'

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

describe('the tools', () => {
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
    const found = assistantTools.find((each) => each.name === name)
    if (!found) throw new Error(`no tool ${name}`)
    return found
  }

  test('are safe, except for those that write, which always ask', () => {
    const shown = assistantTools.map(({ name, risk, approval, idempotent }) => [name, risk, approval, idempotent])
    expect(shown).toEqual([
      ['calculator', 'safe', 'policy', false],
      ['clock', 'safe', 'policy', false],
      ['search_notes', 'safe', 'policy', true],
      ['read_note', 'safe', 'policy', true],
      ['write_note', 'caution', 'always', true],
      ['update_note', 'caution', 'always', true],
    ])
  })

  test('the clock tells the time in UTC', async () => {
    const time = String(await tool('clock').execute({}, context('k')))
    expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000)
    expect(time).toMatch(/Z$/)
  })

  test.each([
    ['calculator', {}],
    ['calculator', { expression: 5 }],
    ['calculator', { expression: '' }],
    ['write_note', { title: 'x' }],
    ['search_notes', {}],
  ])('%s refuses the arguments %j', async (name, args) => {
    expect(await tool(name).check(args)).toMatchObject({ ok: false })
  })
})
