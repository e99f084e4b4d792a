import { httpErrors } from './errors.ts'
import type { HttpRequest } from './message.ts'

const mostLevels = 64

/**
 * The JSON value of a request's body. Throws `UNSUPPORTED_MEDIA_TYPE`, `BODY_TOO_LARGE`, `MALFORMED_JSON` or
 * `JSON_TOO_DEEP`. With `optional`, a missing body is `{}`.
 */
export async function readJson(request: HttpRequest, limit: number, optional: boolean): Promise<unknown> {
  const type = request.header('content-type')
  if (type === undefined && optional) {
    if (!(await hasBody(request, limit))) return {}
    throw httpErrors.UNSUPPORTED_MEDIA_TYPE()
  }
  if (type === undefined || !isJson(type)) throw httpErrors.UNSUPPORTED_MEDIA_TYPE()

  if (request.parsedBody !== undefined) {
    if (Number(request.header('content-length')) > limit) throw httpErrors.BODY_TOO_LARGE()
    return checkJson(request.parsedBody)
  }
  if ((request.header('content-encoding') ?? 'identity') !== 'identity') throw httpErrors.UNSUPPORTED_MEDIA_TYPE()
  const bytes = await request.bytes(limit)
  if (bytes.byteLength === 0 && optional) return {}
  return parseJson(bytes)
}

async function hasBody(request: HttpRequest, limit: number): Promise<boolean> {
  if (request.parsedBody === undefined) return (await request.bytes(limit)).byteLength > 0
  return request.header('transfer-encoding') !== undefined || Number(request.header('content-length') ?? 0) > 0
}

/** Parses untrusted bytes. Throws `MALFORMED_JSON` or `JSON_TOO_DEEP`. */
export function parseJson(bytes: Uint8Array): unknown {
  const text = decode(bytes)
  refuseDepth(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw httpErrors.MALFORMED_JSON()
  }
  // A key may be written with escapes; without any of these in the text there is nothing to look for.
  return /__proto__|constructor|\\u00/.test(text) ? checkJson(value) : value
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw httpErrors.MALFORMED_JSON()
  }
}

/** Before parsing: the parser takes 100 ms and more for a megabyte of brackets. */
function refuseDepth(text: string): void {
  let depth = 0
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charCodeAt(at)
    if (quoted) {
      if (char === backslash) at += 1
      else if (char === quote) quoted = false
    } else if (char === quote) quoted = true
    else if (char === openBracket || char === openBrace) {
      depth += 1
      if (depth > mostLevels) throw httpErrors.JSON_TOO_DEEP()
    } else if (char === closeBracket || char === closeBrace) depth -= 1
  }
}

const [quote, backslash] = [0x22, 0x5c]
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d]

/**
 * For a value that somebody else has parsed. Refuses values nested deeper than 64 levels, and keys that change
 * prototypes once somebody merges them (`__proto__`, and `constructor` over `prototype`): refused, not dropped, since no
 * honest client sends them. Goes level by level, so that no depth overflows the stack.
 */
export function checkJson(value: unknown): unknown {
  let level: object[] = isContainer(value) ? [value] : []
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > mostLevels) throw httpErrors.JSON_TOO_DEEP()
    const below: object[] = []
    for (const container of level) {
      if (Array.isArray(container)) {
        for (const item of container) if (isContainer(item)) below.push(item)
      } else {
        refusePollution(container)
        for (const item of Object.values(container)) if (isContainer(item)) below.push(item)
      }
    }
    level = below
  }
  return value
}

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null

function refusePollution(object: object): void {
  const polluted =
    Object.hasOwn(object, '__proto__') ||
    (Object.hasOwn(object, 'constructor') &&
      isContainer(object.constructor) &&
      Object.hasOwn(object.constructor, 'prototype'))
  if (polluted) throw httpErrors.MALFORMED_JSON({ message: 'the body has a key that is not allowed' })
}

function isJson(contentType: string): boolean {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  const name = type.trim()
  if (name !== 'application/json' && !/^[\w.-]+\/[\w.-]+\+json$/.test(name)) return false
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='))
  return charset === undefined || /^charset="?utf-?8"?$/.test(charset)
}
