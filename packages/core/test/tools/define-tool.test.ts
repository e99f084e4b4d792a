import type { StandardSchemaV1 } from '@standard-schema/spec'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { defineTool, type ToolContext } from '../../src/capabilities/tools/index.ts'
import type { JsonObject } from '../../src/kernel/json.ts'

const context: ToolContext = {
  signal: new AbortController().signal,
  turn: 't1',
  session: 's1',
  tenant: 'default',
  subject: 'owner',
  agent: 'main',
  idempotencyKey: 'k1',
  call: () => Promise.reject(new Error('no operation is called here')),
}

/** A Standard Schema made by hand, which knows no JSON Schema. */
const point: StandardSchemaV1<unknown, { x: number }> = {
  '~standard': {
    version: 1,
    vendor: 'by-hand',
    validate: async (value) => {
      const x = (value as { x?: unknown } | null)?.x
      return typeof x === 'number'
        ? { value: { x } }
        : { issues: [{ message: 'is not a number', path: [{ key: 'x' }] }] }
    },
  },
}

const codeOf = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
  return undefined
}

describe('the type of the arguments', () => {
  it('follows from a zod schema', () => {
    defineTool({
      name: 'weather',
      description: 'Weather of a city',
      input: z.object({ city: z.string(), days: z.number().default(1), unit: z.enum(['c', 'f']).optional() }),
      approval: (args) => {
        expectTypeOf(args.days).toEqualTypeOf<number>()
        return args.days > 3 ? 'always' : 'never'
      },
      execute: async (args, { signal }) => {
        expectTypeOf(args).toEqualTypeOf<{ city: string; days: number; unit?: 'c' | 'f' | undefined }>()
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
        return args.city
      },
    })
  })

  it('follows from a Standard Schema made by hand', () => {
    defineTool({
      name: 'point',
      description: 'Takes a point',
      input: point,
      parameters: { type: 'object', properties: { x: { type: 'number' } }, required: ['x'] },
      execute: ({ x }) => {
        expectTypeOf(x).toEqualTypeOf<number>()
        return x
      },
    })
  })

  it('is JSON for a JSON Schema', () => {
    defineTool({
      name: 'anything',
      description: 'Takes anything',
      input: { type: 'object', properties: { city: { type: 'string' } } },
      execute: (args, { idempotencyKey }) => {
        expectTypeOf(args).toEqualTypeOf<JsonObject>()
        expectTypeOf(idempotencyKey).toEqualTypeOf<string>()
        return null
      },
    })
  })

  it('is refused when the body contradicts the schema', () => {
    defineTool({
      name: 'weather',
      description: 'Weather of a city',
      input: z.object({ city: z.string() }),
      // @ts-expect-error: the schema has no `town`
      execute: ({ town }) => town,
    })
  })
})

describe('a tool by zod', () => {
  const tool = defineTool({
    name: 'weather',
    description: 'Weather of a city',
    input: z.object({ city: z.string().min(1), days: z.number().int().default(1) }),
    execute: ({ city, days }) => `${city}:${days}`,
  })

  it('tells the model what may be sent, as JSON Schema of the input side', () => {
    expect(tool.parameters).toMatchObject({
      type: 'object',
      properties: { city: { type: 'string', minLength: 1 }, days: { type: 'integer', default: 1 } },
      required: ['city'],
    })
  })

  it('hands the parsed value on, defaults filled in', async () => {
    const checked = await tool.check({ city: 'Oslo' })
    expect(checked).toEqual({ ok: true, value: { city: 'Oslo', days: 1 } })
    expect(checked.ok && tool.execute(checked.value, context)).toBe('Oslo:1')
  })

  it('names the place of each problem', async () => {
    const checked = await tool.check({ city: '', days: 'two' })
    expect(checked.ok).toBe(false)
    expect(checked.ok || checked.problems).toEqual([expect.stringMatching(/^city: /), expect.stringMatching(/^days: /)])
  })

  it.each([[null], ['text'], [[]], [undefined], [7]])('refuses %j without throwing', async (value) => {
    expect(await tool.check(value)).toMatchObject({ ok: false })
  })

  it('has the documented defaults and cannot be changed', () => {
    expect(tool).toMatchObject({
      risk: 'caution',
      approval: 'policy',
      idempotent: false,
      timeoutMs: 120_000,
      maxOutputBytes: 16_384,
    })
    expect(() => Object.assign(tool, { risk: 'safe' })).toThrow(TypeError)
  })
})

describe('a tool by a schema without JSON Schema', () => {
  it('is refused at definition with the remedy', () => {
    expect(() => defineTool({ name: 'p', description: 'd', input: point, execute: () => 1 })).toThrow(
      expect.objectContaining({
        code: 'TOOL_PARAMETERS_MISSING',
        message: expect.stringContaining('pass `parameters`'),
      }),
    )
  })

  it('works with the parameters given, and checks asynchronously', async () => {
    const tool = defineTool({
      name: 'p',
      description: 'd',
      input: point,
      parameters: { type: 'object' },
      execute: ({ x }) => x,
    })
    expect(await tool.check({ x: 3, y: 4 })).toEqual({ ok: true, value: { x: 3 } })
    expect(await tool.check({})).toEqual({ ok: false, problems: ['x: is not a number'] })
  })

  it('is refused when the library cannot express the type', () => {
    expect(
      codeOf(() => defineTool({ name: 'd', description: 'd', input: z.object({ at: z.date() }), execute: () => 1 })),
    ).toBe('TOOL_PARAMETERS_MISSING')
  })

  it('reports a schema that throws as a defect of the tool', async () => {
    const tool = defineTool({
      name: 'p',
      description: 'd',
      input: z.object({}).refine(() => {
        throw new Error('secret detail')
      }),
      execute: () => 1,
    })
    await expect((async () => tool.check({}))()).rejects.toMatchObject({
      code: 'TOOL_CHECK_FAILED',
      message: expect.not.stringContaining('secret'),
    })
  })
})

describe('a tool by JSON Schema', () => {
  const schema: JsonObject = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'https://example.test/booking',
    type: 'object',
    properties: {
      seats: { type: 'array', prefixItems: [{ type: 'integer' }, { enum: ['aisle', 'window'] }] },
      mail: { type: 'string', format: 'email' },
    },
    required: ['seats'],
    additionalProperties: false,
  }
  const make = (input: JsonObject, name = 'book') =>
    defineTool({ name, description: 'Books seats', input, execute: (args) => args })

  it('is checked by its schema and passed on as it is', async () => {
    const tool = make(schema)
    const value = { seats: [1, 'aisle'], mail: 'not checked' }
    expect(await tool.check(value)).toEqual({ ok: true, value })
    expect(await tool.check({ seats: ['x', 'roof'], extra: 1 })).toEqual({
      ok: false,
      problems: [
        'must NOT have additional properties ("extra")',
        'seats.0: must be integer',
        'seats.1: must be equal to one of the allowed values: ["aisle","window"]',
      ],
    })
  })

  it('may use the same $id as another tool', async () => {
    const [one, two] = [make(schema, 'one'), make(schema, 'two')]
    expect(await one.check({ seats: [] })).toMatchObject({ ok: true })
    expect(await two.check({ seats: [] })).toMatchObject({ ok: true })
  })

  it('may be written in draft 7', async () => {
    const tool = make({
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: { pair: { type: 'array', items: [{ type: 'string' }, { type: 'number' }] } },
    })
    expect(await tool.check({ pair: ['a', 'b'] })).toEqual({ ok: false, problems: ['pair.1: must be number'] })
  })

  it('checks at once after the first time', async () => {
    const tool = make(schema)
    await tool.check({ seats: [] })
    expect(tool.check({ seats: [] })).toEqual({ ok: true, value: { seats: [] } })
  })

  it('lists at most ten problems', async () => {
    const tool = make({ type: 'object', additionalProperties: { type: 'string' } })
    const checked = await tool.check(
      Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`k${index}`, index])),
    )
    expect(checked.ok || checked.problems).toHaveLength(11)
    expect(checked.ok || checked.problems.at(-1)).toBe('and 490 more')
  })

  it('is not reached by later changes to the schema object', async () => {
    const input = { type: 'object', properties: { a: { type: 'string' } } }
    const tool = make(input)
    input.properties.a.type = 'number'
    expect(await tool.check({ a: 'x' })).toMatchObject({ ok: true })
    expect(tool.parameters).toEqual({ type: 'object', properties: { a: { type: 'string' } } })
  })

  it('reports a broken schema at the first check, every time', async () => {
    const tool = make({ type: 'object', properties: { a: { type: 'strnig' } } })
    for (const _ of [1, 2]) {
      await expect((async () => tool.check({}))()).rejects.toMatchObject({ code: 'TOOL_SCHEMA_BROKEN' })
    }
  })
})

describe('a definition', () => {
  const good = { name: 'n', description: 'd', input: { type: 'object' }, execute: () => 1 }

  it.each([[''], ['a b'], ['ä'], ['x'.repeat(65)], ['a\n'], ['a.b']])('with the name %j is refused', (name) => {
    expect(codeOf(() => defineTool({ ...good, name }))).toBe('TOOL_NAME_INVALID')
  })

  it.each([
    [{ timeoutMs: 0 }],
    [{ timeoutMs: 2 ** 31 }],
    [{ timeoutMs: 1.5 }],
    [{ timeoutMs: Number.NaN }],
    [{ maxOutputBytes: 10 }],
    [{ maxOutputBytes: Number.POSITIVE_INFINITY }],
    [{ description: '  ' }],
  ])('with %j is refused', (change) => {
    expect(codeOf(() => defineTool({ ...good, ...change }))).toBe('TOOL_DEFINITION_INVALID')
  })

  it('with a risk that does not exist is refused', () => {
    // @ts-expect-error: no such risk
    expect(codeOf(() => defineTool({ ...good, risk: 'harmless' }))).toBe('TOOL_DEFINITION_INVALID')
  })

  it.each([[{ type: 'array' }], [{}], [{ anyOf: [{ type: 'object' }] }]])('with the schema %j is refused', (input) => {
    expect(codeOf(() => defineTool({ ...good, input }))).toBe('TOOL_PARAMETERS_NOT_OBJECT')
  })

  it('with a zod schema that is no object is refused', () => {
    expect(codeOf(() => defineTool({ ...good, input: z.string(), execute: () => 1 }))).toBe(
      'TOOL_PARAMETERS_NOT_OBJECT',
    )
  })

  it('keeps `this` and its override by arguments', () => {
    const tool = defineTool({
      ...good,
      approval: (args) => (args['amount'] === 1 ? 'never' : 'always'),
      execute() {
        return this.name
      },
    })
    expect(typeof tool.approval === 'function' && tool.approval({ amount: 1 })).toBe('never')
    expect(tool.execute({}, context)).toBe('n')
  })
})
