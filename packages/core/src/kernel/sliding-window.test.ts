import { describe, expect, it } from 'vitest'
import { SlidingWindow } from './sliding-window.ts'

const start = 1_800_000_000_000

describe('a sliding window', () => {
  it('sums what was added within its length, and nothing older', () => {
    const window = new SlidingWindow(60_000)
    for (let second = 0; second < 120; second += 1) window.add(1, start + second * 1_000)
    expect(window.total(start + 119_000)).toBe(60)
    expect(window.total(start + 149_000)).toBe(30)
    expect(window.total(start + 178_999)).toBe(1)
    expect(window.total(start + 179_000)).toBe(0)
    expect(window.total(start + 10 ** 9)).toBe(0)
  })

  it('keeps what it has when the clock is set back a little, and forgets it when far', () => {
    const window = new SlidingWindow(60_000)
    window.add(5, start)
    expect(window.total(start - 30_000)).toBe(5)
    window.add(1, start - 30_000)
    expect(window.total(start)).toBe(6)
    expect(window.total(start + 60_000)).toBe(0)
    window.add(5, start + 60_000)
    expect(window.total(start - 10 ** 7)).toBe(0)
    window.add(1, start - 10 ** 7)
    expect(window.total(start - 10 ** 7 + 60_000)).toBe(0)
  })

  it.each([
    [6, 0],
    [5, 40_000],
    [4, 40_000],
    [3, 50_000],
    [1, 50_000],
  ])('says how long it takes until it is below %i', (limit, wait) => {
    const window = new SlidingWindow(60_000)
    expect(window.belowIn(1, start)).toBe(0)
    window.add(2, start)
    window.add(3, start + 10_000)
    const now = start + 20_000
    expect(window.belowIn(limit, now)).toBe(wait)
    if (wait > 0) expect(window.total(now + wait - 1)).toBeGreaterThanOrEqual(limit)
    expect(window.total(now + wait)).toBeLessThan(limit)
  })

  it('never asks for a wait longer than itself, or none while it is full', () => {
    const window = new SlidingWindow(1_000)
    window.add(9, start)
    for (const now of [start, start + 1, start + 900, start + 400]) {
      expect(window.belowIn(1, now)).toBeGreaterThan(0)
      expect(window.belowIn(1, now)).toBeLessThanOrEqual(1_000)
    }
  })
})
