import { describe, expect, it } from 'vitest'
import { boundedFetch } from '../../src/providers/bounded-fetch.ts'

const megabyte = 2 ** 20

/** Answers with pieces for as long as they are read. */
function answering(pieces: Iterable<string>, init: ResponseInit) {
  const left = Promise.withResolvers<unknown>()
  const iterator = pieces[Symbol.iterator]()
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const { done, value } = iterator.next()
      if (done) controller.close()
      else controller.enqueue(new TextEncoder().encode(value))
    },
    cancel: (reason) => left.resolve(reason),
  })
  return { fetch: boundedFetch(async () => new Response(body, init)), left: left.promise }
}

const sse = { headers: { 'content-type': 'text/event-stream; charset=utf-8' } }

function* repeat(piece: string, times: number): Generator<string> {
  for (let count = 0; count < times; count++) yield piece
}

async function lengthOf(response: Response): Promise<number> {
  let length = 0
  for await (const chunk of response.body ?? []) length += chunk.length
  return length
}

describe('a stream', () => {
  const event = `data: ${'x'.repeat(megabyte)}`

  it.each([
    ['line feeds', '\n\n'],
    ['carriage returns', '\r\r'],
    ['both', '\r\n\r\n'],
  ])('may be of any length when its events end in %s', async (_, end) => {
    const { fetch } = answering(repeat(event + end, 20), sse)
    expect(await lengthOf(await fetch('http://x'))).toBe(20 * (event.length + end.length))
  })

  it('may have an end of an event that is torn apart', async () => {
    const pieces = function* () {
      for (let count = 0; count < 20; count++) yield* [event, '\n', '\n']
    }
    const { fetch } = answering(pieces(), sse)
    expect(await lengthOf(await fetch('http://x'))).toBe(20 * (event.length + 2))
  })

  it.each([
    ['a line', 'x'.repeat(megabyte)],
    ['many lines of one event', `data: ${'x'.repeat(megabyte)}\n`],
  ])('is left when %s has no end', async (_, piece) => {
    const { fetch, left } = answering(repeat(piece, 1_000), sse)
    const response = await fetch('http://x')
    await expect(lengthOf(response)).rejects.toMatchObject({ name: 'ModelFailure', failure: 'malformed' })
    expect(await left).toMatchObject({ failure: 'malformed' })
  })
})

describe('another answer', () => {
  it('keeps status and headers', async () => {
    const init = { status: 418, statusText: 'teapot', headers: { 'retry-after': '3' } }
    const response = await answering(['short'], init).fetch('http://x')
    expect([response.status, response.statusText, response.headers.get('retry-after')]).toEqual([418, 'teapot', '3'])
    expect(await response.text()).toBe('short')
  })

  it('is cut when it is a refusal without end', async () => {
    const { fetch, left } = answering(repeat('x'.repeat(megabyte), 1_000), { status: 500 })
    expect(await lengthOf(await fetch('http://x'))).toBeLessThanOrEqual(megabyte)
    await left
  })

  it('is left when it has no end', async () => {
    const { fetch, left } = answering(repeat('x'.repeat(megabyte), 1_000), {})
    await expect(lengthOf(await fetch('http://x'))).rejects.toMatchObject({ failure: 'malformed' })
    await left
  })

  it('without a body has none', async () => {
    const response = await boundedFetch(async () => new Response(null, { status: 204 }))('http://x')
    expect(response.body).toBeNull()
  })

  it('is left when the reader leaves', async () => {
    const { fetch, left } = answering(repeat('x', 1_000), sse)
    await (await fetch('http://x')).body?.cancel('enough')
    expect(await left).toBe('enough')
  })
})
