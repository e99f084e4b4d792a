import { describe, expect, it } from 'vitest'
import { shapeOutput } from '../../src/capabilities/tools/index.ts'

const bytesOf = (value: unknown) => Buffer.byteLength(String(value))

describe('a result that fits', () => {
  it('is kept as it is', () => {
    expect(shapeOutput('grün', 300)).toEqual({ output: 'grün', isError: false, cutFrom: null })
    expect(shapeOutput({ a: [1, true, null] }, 300).output).toEqual({ a: [1, true, null] })
    expect(shapeOutput(0, 300).output).toBe(0)
    expect(shapeOutput(false, 300).output).toBe(false)
  })

  it('of exactly the limit is not cut', () => {
    expect(shapeOutput('é'.repeat(150), 300)).toMatchObject({ output: 'é'.repeat(150), cutFrom: null })
    expect(shapeOutput('é'.repeat(151), 300).cutFrom).toBe(302)
  })

  it('is nothing for undefined', () => {
    expect(shapeOutput(undefined, 300)).toEqual({ output: null, isError: false, cutFrom: null })
    expect(shapeOutput({ toJSON: () => undefined }, 300).output).toBeNull()
  })

  it('is detached from what the tool still holds', () => {
    const value = { at: new Date(0), list: [1] }
    const { output } = shapeOutput(value, 300)
    value.list.push(2)
    expect(output).toEqual({ at: '1970-01-01T00:00:00.000Z', list: [1] })
  })
})

describe('a result that is too long', () => {
  it.each([
    ['ascii', 'a'.repeat(5000)],
    ['two bytes', 'é'.repeat(5000)],
    ['three bytes', '漢'.repeat(5000)],
    ['four bytes', '😀'.repeat(5000)],
    ['four bytes, shifted', `x${'😀'.repeat(5000)}`],
    ['one byte, then four', `${'a'.repeat(175)}${'😀'.repeat(5000)}`],
    ['half a pair', '\ud83d'.repeat(5000)],
    ['three and four bytes', '漢😀'.repeat(5000)],
  ])('of %s is cut between characters and says so', (_, text) => {
    for (let limit = 256; limit < 264; limit++) {
      const { output, isError, cutFrom } = shapeOutput(text, limit)
      expect(isError).toBe(false)
      expect(cutFrom).toBe(bytesOf(text))
      expect(bytesOf(output)).toBeLessThanOrEqual(limit)
      const [, kept = '', shown, total] = /^(.*)\n\[cut: first (\d+) of (\d+) bytes\]$/s.exec(String(output)) ?? []
      expect(text.toWellFormed().startsWith(kept)).toBe(true)
      expect(kept.isWellFormed()).toBe(true)
      expect(Number(shown)).toBe(bytesOf(kept))
      expect(Number(total)).toBe(bytesOf(text))
      expect(Number(shown)).toBeGreaterThan(limit - 90)
    }
  })

  it('of structure becomes cut JSON text', () => {
    const { output, cutFrom } = shapeOutput({ rows: Array.from({ length: 1000 }, (_, id) => ({ id })) }, 512)
    expect(output).toMatch(/^\{"rows":\[\{"id":0\},/)
    expect(bytesOf(output)).toBeLessThanOrEqual(512)
    expect(cutFrom).toBeGreaterThan(9000)
  })

  it('is written as JSON once, however large', () => {
    let written = 0
    const huge = { toJSON: () => `${++written}${'x'.repeat(5_000_000)}` }
    expect(bytesOf(shapeOutput(huge, 1024).output)).toBeLessThanOrEqual(1024)
    expect(written).toBe(1)
  })
})

describe('a result that is no JSON', () => {
  const circular: { self?: unknown; secret: string } = { secret: 'hunter2' }
  circular.self = circular
  let deep: unknown = 1
  for (let level = 0; level < 200_000; level++) deep = [deep]

  it.each([
    ['a bigint', 1n, 'bigint'],
    ['a bigint inside', { a: [1n] }, 'bigint'],
    ['a circle', circular, 'refers to itself'],
    ['a function', () => 1, 'function'],
    ['a symbol', Symbol('s'), 'symbol'],
    ['a map', new Map([['a', 1]]), 'Map'],
    ['binary data', new Uint8Array(4), 'binary'],
    ['an error', new Error('hunter2'), 'throwing'],
    ['something too deep', deep, 'deeply'],
    [
      'a getter that throws',
      {
        get a() {
          throw new Error('hunter2')
        },
      },
      'could not be written',
    ],
  ])('such as %s becomes an error the model can read', (_, value, word) => {
    const shaped = shapeOutput(value, 1024)
    expect(shaped.isError).toBe(true)
    expect(shaped.output).toContain(word)
    expect(shaped.output).not.toContain('hunter2')
  })
})
