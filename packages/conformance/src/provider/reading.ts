import type { FailureClass, ModelPart, ModelRequest } from '@keelson/core'
import { expect } from 'vitest'
import { type FakeAnswer, type FakeServer, serveFake } from './fake-server.ts'
import type { FakeItem, ProviderKit } from './kit.ts'
import { request } from './requests.ts'

export interface Outcome {
  readonly parts: readonly ModelPart[]
  readonly error: unknown
}

/** Reads a stream to its end, however it ends. */
export async function read(stream: AsyncIterable<ModelPart>, onPart?: (part: ModelPart) => void): Promise<Outcome> {
  const parts: ModelPart[] = []
  try {
    for await (const part of stream) {
      parts.push(part)
      onPart?.(part)
    }
    return { parts, error: undefined }
  } catch (error) {
    return { parts, error }
  }
}

export const textIn = (parts: readonly ModelPart[]): string =>
  parts.map((part) => (part.type === 'text' ? part.text : '')).join('')

export const thoughtIn = (parts: readonly ModelPart[]): string =>
  parts.map((part) => (part.type === 'reasoning' ? part.text : '')).join('')

export const callsIn = (parts: readonly ModelPart[]) => parts.filter((part) => part.type === 'tool-call')

export const typesIn = (parts: readonly ModelPart[]): readonly string[] => [...new Set(parts.map(({ type }) => type))]

export const never = new AbortController().signal

export const text = (...chunks: readonly string[]): FakeItem => ({ type: 'text', chunks })

/** Expects a `ModelFailure` of the class, or of one of them, and gives it back. */
export function failureIn({ error }: Outcome, failure: FailureClass | readonly FailureClass[]) {
  expect(error).toMatchObject({ name: 'ModelFailure', failure: expect.toBeOneOf([failure].flat()) })
  return error as { message: string; retryAfterMs?: number }
}

/** Runs against a server that answers like this, and closes it. */
export type Against = (answer: FakeAnswer, run: (server: FakeServer) => Promise<unknown> | unknown) => Promise<void>

/** Asks the provider of a server. */
export type Ask = (server: Pick<FakeServer, 'provider'>, asked?: ModelRequest, signal?: AbortSignal) => Promise<Outcome>

export function against(kit: ProviderKit): Against {
  return async (answer, run) => {
    const server = await serveFake(kit, answer)
    try {
      await run(server)
    } finally {
      await server.close()
    }
  }
}

export const ask =
  (kit: ProviderKit): Ask =>
  ({ provider }, asked = request, signal = never) =>
    read(provider.stream(kit.model, asked, signal))
