import { describe, expect, it } from 'vitest'
import { type Authority, approvalFor, decide, defaultPolicy, type Risk } from '../../src/capabilities/tools/index.ts'
import type { PolicyDecision } from '../../src/capabilities/tools/policy.ts'

const authorities: readonly Authority[] = ['creator', 'self-generated', 'peer', 'external']
const risks: readonly Risk[] = ['safe', 'caution', 'dangerous', 'forbidden']
const cells = authorities.flatMap((authority) => risks.map((risk) => [authority, risk] as const))

describe('the table', () => {
  it.each<[Authority, Risk, PolicyDecision]>([
    ['creator', 'safe', 'allow'],
    ['creator', 'caution', 'allow'],
    ['creator', 'dangerous', 'allow'],
    ['creator', 'forbidden', 'deny'],
    ['self-generated', 'safe', 'allow'],
    ['self-generated', 'caution', 'allow'],
    ['self-generated', 'dangerous', 'ask'],
    ['self-generated', 'forbidden', 'deny'],
    ['peer', 'safe', 'allow'],
    ['peer', 'caution', 'allow'],
    ['peer', 'dangerous', 'ask'],
    ['peer', 'forbidden', 'deny'],
    ['external', 'safe', 'allow'],
    ['external', 'caution', 'ask'],
    ['external', 'dangerous', 'deny'],
    ['external', 'forbidden', 'deny'],
  ])('says for %s and %s: %s', (authority, risk, decision) => {
    expect(decide(risk, authority).decision).toBe(decision)
  })

  it('never gives a lower authority more', () => {
    const weight = { allow: 2, ask: 1, deny: 0 }
    for (const risk of risks) {
      const weights = authorities.map((authority) => weight[defaultPolicy[authority][risk]])
      expect(weights).toEqual(weights.toSorted((a, b) => b - a))
    }
  })

  it('can be another one', () => {
    const table = { ...defaultPolicy, peer: { ...defaultPolicy.peer, caution: 'deny' } } as const
    expect(decide('caution', 'peer', 'never', table)).toMatchObject({ decision: 'deny', rule: 'peer:caution' })
  })

  it('cannot let a forbidden tool run', () => {
    const table = { ...defaultPolicy, creator: { ...defaultPolicy.creator, forbidden: 'allow' } } as const
    expect(decide('forbidden', 'creator', 'never', table)).toMatchObject({ decision: 'deny', rule: 'forbidden' })
  })
})

describe('an override', () => {
  it.each(cells)('of %s and %s never turns a denial into anything else', (authority, risk) => {
    const plain = decide(risk, authority).decision
    expect(decide(risk, authority, 'always').decision).toBe(plain === 'deny' ? 'deny' : 'ask')
    expect(decide(risk, authority, 'never').decision).toBe(plain === 'deny' ? 'deny' : 'allow')
  })

  it.each(cells)('of %s and %s that denies leaves nothing else', (authority, risk) => {
    expect(decide(risk, authority, 'denied').decision).toBe('deny')
  })

  it('of the agent goes before what the tool wants', () => {
    const tool = { approval: () => 'always' as const }
    expect(approvalFor(tool, {})).toBe('always')
    expect(approvalFor(tool, {}, 'allow')).toBe('never')
    expect(approvalFor({ approval: 'never' }, {}, 'ask')).toBe('always')
    expect(decide('safe', 'creator', approvalFor(tool, {}, 'deny'))).toEqual({
      decision: 'deny',
      rule: 'approval:denied',
      reason: 'this agent may not use it',
    })
  })

  it('is named as the rule when it decided', () => {
    expect(decide('safe', 'creator', 'always').rule).toBe('approval:always')
    expect(decide('dangerous', 'peer', 'never')).toEqual({ decision: 'allow', rule: 'approval:never', reason: null })
    expect(decide('safe', 'creator', 'never').rule).toBe('creator:safe')
  })

  it('says why somebody is asked or refused', () => {
    expect(decide('dangerous', 'peer').reason).toContain('peer')
    expect(decide('dangerous', 'external').reason).toContain('dangerous')
  })

  it('by function sees the arguments', () => {
    const tool = {
      approval: (args: unknown) => ((args as { amount: number }).amount > 100 ? 'always' : 'never'),
    } as const
    expect(approvalFor(tool, { amount: 5 })).toBe('never')
    expect(approvalFor(tool, { amount: 500 })).toBe('always')
  })

  it('by a function that throws or answers nonsense asks', () => {
    const boom = () => {
      throw new Error('boom')
    }
    expect(approvalFor({ approval: boom }, {})).toBe('always')
    // @ts-expect-error: a function written in JavaScript may answer anything
    expect(approvalFor({ approval: () => true }, {})).toBe('always')
    expect(approvalFor({ approval: 'policy' }, {})).toBe('policy')
  })
})
