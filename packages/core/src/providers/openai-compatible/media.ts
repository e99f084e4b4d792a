import {
  type Embedded,
  type EmbeddingProvider,
  ModelFailure,
  type Transcript,
  type TranscriptionProvider,
} from '../../capabilities/models/index.ts'
import type { Connection } from './connection.ts'

/** What one request may hold; more texts go in several, one after the other. */
const mostTexts = 2_048
/** The vendor allows 300,000 tokens; a token is never less than a byte of UTF-8, and seldom less than three. */
const mostBytes = 600_000

/** The endings by which the vendor knows what is in a file. */
const endings: Readonly<Record<string, string>> = {
  'audio/flac': 'flac',
  'audio/mpeg': 'mp3',
  'audio/mp3': 'mp3',
  'audio/mp4': 'mp4',
  'audio/m4a': 'm4a',
  'audio/x-m4a': 'm4a',
  'audio/ogg': 'ogg',
  'audio/wav': 'wav',
  'audio/x-wav': 'wav',
  'audio/wave': 'wav',
  'audio/webm': 'webm',
}

export const embedderOver = (connection: Connection): EmbeddingProvider => ({
  async embed(model, { dimensions, inputs }, signal) {
    const vectors: Embedded['vectors'][number][] = []
    let tokens = 0
    for (const input of batchesOf(inputs)) {
      const answer = await connection.call(
        (client, _, options) =>
          client.embeddings.create({ model, input, ...(dimensions === undefined ? {} : { dimensions }) }, options),
        signal,
      )
      const batch = vectorsIn(answer.data, input.length)
      for (const vector of batch) vectors.push(vector)
      tokens += countOf(answer.usage?.prompt_tokens)
    }
    return { vectors, tokens }
  },
})

function batchesOf(inputs: readonly string[]): readonly string[][] {
  const batches: string[][] = []
  let bytes = 0
  for (const text of inputs) {
    const size = Buffer.byteLength(text)
    const last = batches.at(-1)
    if (last && last.length < mostTexts && bytes + size <= mostBytes) {
      last.push(text)
      bytes += size
    } else {
      batches.push([text])
      bytes = size
    }
  }
  return batches
}

/** In the order of the texts, which a server need not keep. */
function vectorsIn(data: unknown, expected: number): readonly (readonly number[])[] {
  const vectors = new Array<readonly number[] | undefined>(expected)
  for (const [position, entry] of (Array.isArray(data) ? data : []).entries()) {
    const { embedding, index = position } = (entry ?? {}) as { embedding?: unknown; index?: number }
    if (isVector(embedding) && index >= 0 && index < expected) vectors[index] = Array.from(embedding)
  }
  const found = vectors.filter((vector) => vector !== undefined)
  if (found.length === expected) return found
  throw new ModelFailure('malformed', `the server gave ${found.length} embeddings for ${expected} texts`)
}

const isVector = (value: unknown): value is ArrayLike<number> & Iterable<number> =>
  (Array.isArray(value) || value instanceof Float32Array) &&
  value.length > 0 &&
  value.every((number) => typeof number === 'number' && Number.isFinite(number))

export const transcriberOver = (connection: Connection): TranscriptionProvider => ({
  async transcribe(model, { audio, language, mediaType, prompt }, signal): Promise<Transcript> {
    const ending = endings[mediaType.split(';')[0]?.trim().toLowerCase() ?? '']
    if (ending === undefined) throw new ModelFailure('bad-request', `audio of type ${mediaType} is not understood`)
    const answer: unknown = await connection.call(
      async (client, sdk, options) =>
        client.audio.transcriptions.create(
          {
            file: await sdk.toFile(audio, `audio.${ending}`, { type: mediaType }),
            model,
            response_format: 'json',
            ...(language === undefined ? {} : { language }),
            ...(prompt === undefined ? {} : { prompt }),
          },
          options,
        ),
      signal,
    )
    const { text, usage } = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<string, unknown>
    if (typeof text !== 'string') throw new ModelFailure('malformed', 'the server did not answer with a transcript')
    const counted = (typeof usage === 'object' && usage !== null ? usage : {}) as Record<string, unknown>
    return {
      text,
      tokens: { input: countOf(counted['input_tokens']), output: countOf(counted['output_tokens']) },
      seconds: typeof counted['seconds'] === 'number' && counted['seconds'] > 0 ? counted['seconds'] : null,
    }
  },
})

const countOf = (value: unknown): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0
