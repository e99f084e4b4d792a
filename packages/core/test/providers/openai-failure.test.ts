import { describe, expect, it } from 'vitest'
import type { FailureClass } from '../../src/capabilities/models/index.ts'
import { classOf } from '../../src/providers/openai-compatible/failure.ts'
import { retryAfterMs } from '../../src/providers/retry-after.ts'

describe('the class of a refusal', () => {
  it.each<[number, FailureClass]>([
    [400, 'bad-request'],
    [401, 'auth'],
    [402, 'billing'],
    [403, 'auth'],
    [404, 'bad-request'],
    [408, 'timeout'],
    [409, 'bad-request'],
    [413, 'context-too-long'],
    [422, 'bad-request'],
    [429, 'rate-limit'],
    [500, 'server'],
    [502, 'server'],
    [503, 'overload'],
    [504, 'timeout'],
    [520, 'server'],
    [529, 'overload'],
  ])('with status %i and nothing else is %s', (status, failure) => {
    expect(classOf(status, [undefined, undefined], 'something')).toBe(failure)
  })

  it.each<[number, unknown, FailureClass]>([
    [429, 'insufficient_quota', 'billing'],
    [400, 'context_length_exceeded', 'context-too-long'],
    [400, 'content_filter', 'content-refused'],
    [500, 'overloaded_error', 'overload'],
    [400, 'toString', 'bad-request'],
    [400, 400, 'bad-request'],
  ])('with status %i and code %s is %s', (status, code, failure) => {
    expect(classOf(status, [code], 'something')).toBe(failure)
  })

  it.each<[number, string, FailureClass]>([
    [400, "This model's maximum context length is 4096 tokens. However, you requested 5000", 'context-too-long'],
    [400, 'the request exceeds the available context size', 'context-too-long'],
    [400, 'prompt is too long: 210000 tokens > 200000 maximum', 'context-too-long'],
    [400, 'max_tokens is too large: 100000. This model supports at most 16384 completion tokens', 'bad-request'],
    [403, 'Your input was flagged by moderation', 'content-refused'],
    [403, 'Country not supported', 'auth'],
    [400, 'Your credit balance is too low', 'billing'],
  ])('with status %i and the words %j is %s', (status, message, failure) => {
    expect(classOf(status, [], message)).toBe(failure)
  })

  it('inside a stream, without a status, is one of the server', () => {
    expect(classOf(undefined, ['unknown_code'], 'oops')).toBe('server')
    expect(classOf(undefined, ['rate_limit_exceeded'], 'oops')).toBe('rate-limit')
  })
})

describe('how long to wait', () => {
  const now = Date.UTC(2030, 0, 1, 12, 0, 0)
  const wait = (headers: Record<string, string>) => retryAfterMs(new Headers(headers), now)

  it.each<[Record<string, string>, number | undefined]>([
    [{}, undefined],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '20' }, 20_000],
    [{ 'retry-after': '1.5' }, 1500],
    [{ 'retry-after': ' 3 ' }, 3000],
    [{ 'retry-after': 'Tue, 01 Jan 2030 12:00:30 GMT' }, 30_000],
    [{ 'retry-after': 'Tue, 01 Jan 2030 11:00:00 GMT' }, 0],
    [{ 'retry-after': 'Tuesday, 01-Jan-30 12:01:00 GMT' }, 60_000],
    [{ 'retry-after-ms': '250', 'retry-after': '1' }, 250],
    [{ 'retry-after-ms': 'x', 'retry-after': '1' }, 1000],
    [{ 'retry-after': '-5' }, undefined],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': 'in 2030' }, undefined],
    [{ 'retry-after': '1e9' }, undefined],
    [{ 'retry-after': 'NaN' }, undefined],
  ])('is taken from %j as %s', (headers, expected) => expect(wait(headers)).toBe(expected))

  it('is unknown without headers', () => expect(retryAfterMs(undefined, now)).toBeUndefined())
})
