import type { JsonObject, OpenApiDocument } from './document.ts'
import type { Random } from './random.ts'

export interface FuzzRequest {
  readonly method: string
  /** As it goes over the wire, with the query. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

const nasty = [
  '',
  ' ',
  '\0',
  '../../etc/passwd',
  '%2e%2e%2f',
  '__proto__',
  'constructor',
  "'; drop table sessions; --",
  '"*" NEAR(',
  '😀'.repeat(50),
  '\ud800',
  'ﷺ',
  'a'.repeat(5_000),
  '-1',
  '0',
  '1e309',
  '9007199254740993',
  'null',
  '{{7*7}}',
  '<script>',
  '2026-02-30T25:61:00Z',
]

const odd: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1e308,
  0.1,
  '',
  [],
  {},
  [[[[]]]],
  { ['__proto__']: { polluted: 1 } },
  Array(200).fill('x'),
]

/** Requests made of an OpenAPI document: right in most of what they say, and wrong somewhere in every way there is. */
export class Requests {
  readonly #random: Random
  readonly #document: OpenApiDocument
  readonly #operations: readonly { method: string; path: string; operation: JsonObject }[]
  /** Ids that answers held, so that paths lead somewhere. */
  readonly #ids: string[] = []

  constructor(document: OpenApiDocument, random: Random) {
    this.#document = document
    this.#random = random
    this.#operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
    )
  }

  learn(answer: string): void {
    for (const [id] of answer.slice(0, 20_000).matchAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g)) {
      this.#ids[this.#ids.length < 500 ? this.#ids.length : this.#random.below(500)] = id
    }
  }

  next(): FuzzRequest {
    const random = this.#random
    const { method, path, operation } = random.pick(this.#operations)
    const parameters = (operation['parameters'] ?? []) as readonly JsonObject[]
    const filled = path.replace(/\{\w+\}/g, () => this.#segment())
    const query = parameters.flatMap((parameter) => this.#queryOf(parameter))
    if (random.chance(0.05))
      query.push(`${random.pick(['__proto__', 'limit', 'x[]', '%zz'])}=${random.pick(['1', '%', '%00'])}`)
    const target = `${random.chance(0.03) ? this.#mangled(filled) : filled}${query.length > 0 ? `?${query.join('&')}` : ''}`
    const body = this.#bodyOf(operation)
    const type = random.chance(0.95)
      ? 'application/json'
      : random.pick(['text/plain', 'application/json; charset=utf-16', 'x', ''])
    return {
      method: random.chance(0.97) ? method : random.pick(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']),
      target,
      headers: body === undefined ? {} : { 'content-type': type },
      body,
    }
  }

  #segment(): string {
    const random = this.#random
    if (this.#ids.length > 0 && random.chance(0.7)) return random.pick(this.#ids)
    return encodeURIComponent(random.pick([...nasty, 'main', 'x', '1']).toWellFormed()) || 'x'
  }

  #mangled(path: string): string {
    return this.#random.pick([
      `/${path}`,
      `${path}/`,
      `${path}/..`,
      path.replace('/', '/%2e%2e/'),
      `${path}%00`,
      `${path}%2f`,
      `${path}%`,
    ])
  }

  #queryOf(parameter: JsonObject): string[] {
    if (parameter['in'] !== 'query' || this.#random.chance(0.5)) return []
    const value = this.#random.chance(0.6)
      ? this.#value(parameter['schema'] as JsonObject, 0)
      : this.#random.pick(nasty)
    const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
    const pair = `${parameter['name']}=${encodeURIComponent(text.toWellFormed())}`
    return this.#random.chance(0.05) ? [pair, pair] : [pair]
  }

  #bodyOf(operation: JsonObject): string | undefined {
    const random = this.#random
    const content = (operation['requestBody'] as JsonObject | undefined)?.['content'] as JsonObject | undefined
    const schema = (content?.['application/json'] as JsonObject | undefined)?.['schema'] as JsonObject | undefined
    if (schema === undefined) return random.chance(0.05) ? '{}' : undefined
    if (random.chance(0.04)) return random.pick(['', '{', 'null', '[]', '"x"', '{"a":1}{', '['.repeat(5_000), '\u0000'])
    const text = JSON.stringify(random.chance(0.05) ? random.pick(odd) : this.#value(schema, 0))
    return random.chance(0.02) ? text.slice(0, random.below(text.length + 1)) : text
  }

  /** A value of the schema, or now and then one that is not. */
  #value(schema: JsonObject | undefined, depth: number): unknown {
    const random = this.#random
    if (schema === undefined || depth > 6 || random.chance(0.06)) return random.pick([...odd, random.pick(nasty)])
    const reference = schema['$ref']
    if (typeof reference === 'string') {
      return this.#value(this.#document.components.schemas[reference.split('/').at(-1) ?? ''], depth + 1)
    }
    const choices = (schema['anyOf'] ?? schema['oneOf']) as readonly JsonObject[] | undefined
    if (choices) return this.#value(random.pick(choices), depth + 1)
    if (Array.isArray(schema['enum'])) return random.pick(schema['enum'])
    if ('const' in schema) return schema['const']
    const type = Array.isArray(schema['type']) ? random.pick(schema['type']) : schema['type']
    switch (type) {
      case 'object': {
        const required = (schema['required'] ?? []) as readonly string[]
        const properties = Object.entries((schema['properties'] ?? {}) as Record<string, JsonObject>)
        const kept = properties.filter(([name]) => random.chance(required.includes(name) ? 0.97 : 0.5))
        return Object.fromEntries(kept.map(([name, property]) => [name, this.#value(property, depth + 1)]))
      }
      case 'array':
        return Array.from({ length: random.below(4) }, () => this.#value(schema['items'] as JsonObject, depth + 1))
      case 'integer':
      case 'number':
        return random.pick([0, 1, 2, -1, 50, 1e9, 1.5])
      case 'boolean':
        return random.chance(0.5)
      case 'null':
        return null
      default:
        return this.#ids.length > 0 && random.chance(0.3)
          ? random.pick(this.#ids)
          : random.pick(['hello', 'What is 2 + 2?', ...nasty])
    }
  }
}
