import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FailureClass, ModelPart } from '../capabilities/models/index.ts'
import { defineErrors } from '../kernel/errors.ts'
import type { RequestDigest } from './request-digest.ts'

export const cassetteErrors = defineErrors({
  CASSETTE_MISSING: { kind: 'not_found', message: 'there is no such cassette; record it with KEELSON_RECORD=1' },
  CASSETTE_DAMAGED: {
    kind: 'bad_request',
    message: 'the cassette cannot be read; record it anew with KEELSON_RECORD=1',
  },
  CASSETTE_TOO_NEW: { kind: 'bad_request', message: 'the cassette was made by a newer version; update @keelson/core' },
  CASSETTE_NOT_WRITTEN: { kind: 'internal', message: 'the cassette could not be written' },
  CASSETTE_MODE: { kind: 'bad_request', message: "mode is 'replay', 'record' or 'auto'" },
  CASSETTE_DRIFT: { kind: 'conflict', message: 'the model was asked something else than was recorded' },
  CASSETTE_UNUSED: { kind: 'conflict', message: 'not all recordings were used' },
})

const format = 'keelson-cassette'
const version = 1

/** A piece of a stream, so many milliseconds after the call began. */
export type RecordedPart = ModelPart & { readonly at: number }

export interface RecordedFailure {
  readonly at: number
  readonly failure: FailureClass
  readonly message: string
  readonly status?: number
  readonly retryAfterMs?: number
}

/** One call of a model. */
export interface Recording extends RequestDigest {
  readonly stream: readonly RecordedPart[]
  /** `cut`: it ended without a finish. `aborted`: the caller gave up, and so it does not end by itself. */
  readonly end: 'finished' | 'failed' | 'cut' | 'aborted'
  readonly failure?: RecordedFailure
}

export interface Cassette {
  /** Id of the provider that was recorded. */
  readonly provider: string
  readonly recordings: readonly Recording[]
}

export const cassetteFile = (cassette: string | URL): string =>
  typeof cassette === 'string' ? cassette : fileURLToPath(cassette)

/** How a cassette is called in messages: no path. */
export const cassetteName = (file: string): string => `cassette ${basename(file)}`

/** Null when there is no file. Throws `CASSETTE_DAMAGED` or `CASSETTE_TOO_NEW`. */
export function readCassette(file: string): Cassette | null {
  const damaged = (problem: string, cause?: unknown) =>
    cassetteErrors.CASSETTE_DAMAGED({
      message: `${cassetteName(file)} ${problem}; restore it, or record it anew with KEELSON_RECORD=1`,
      cause,
    })
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw damaged('cannot be read', cause)
  }
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (cause) {
    throw damaged('is not whole JSON', cause)
  }
  if (!isRecord(content) || content['format'] !== format) throw damaged('is not a cassette')
  if (typeof content['version'] === 'number' && content['version'] > version) {
    throw cassetteErrors.CASSETTE_TOO_NEW({
      message: `${cassetteName(file)} has format ${content['version']}, and this version reads up to ${version}; update @keelson/core`,
    })
  }
  const { provider, recordings } = content
  if (typeof provider !== 'string' || !Array.isArray(recordings)) throw damaged('has no recordings')
  recordings.forEach((recording, index) => {
    if (!isRecording(recording)) throw damaged(`has a recording that makes no sense: number ${index + 1}`)
  })
  return { provider, recordings }
}

/** Replaces the file at once or not at all. Synchronous: a call is on disk before its caller hears of its end. */
export function writeCassette(file: string, cassette: Cassette): void {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(temporary, textOf(cassette))
    renameSync(temporary, file)
  } catch (cause) {
    if (existsSync(temporary)) rmSync(temporary)
    throw cassetteErrors.CASSETTE_NOT_WRITTEN({ message: `${cassetteName(file)} could not be written`, cause })
  }
}

/** One line for each piece of a stream, so that a difference between two versions can be read. */
function textOf({ provider, recordings }: Cassette): string {
  const list = (items: readonly unknown[]): string =>
    items.length === 0 ? '[]' : `[\n${items.map((item) => `        ${JSON.stringify(item)}`).join(',\n')}\n      ]`
  const each = recordings.map(({ hash, digest, stream, end, failure }) =>
    [
      '    {',
      `      "hash": ${JSON.stringify(hash)},`,
      `      "digest": ${list(digest)},`,
      `      "stream": ${list(stream)},`,
      ...(failure === undefined ? [] : [`      "failure": ${JSON.stringify(failure)},`]),
      `      "end": ${JSON.stringify(end)}`,
      '    }',
    ].join('\n'),
  )
  return `{\n  "format": "${format}",\n  "version": ${version},\n  "provider": ${JSON.stringify(provider)},\n  "recordings": [\n${each.join(',\n')}\n  ]\n}\n`
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const ends: readonly unknown[] = ['finished', 'failed', 'cut', 'aborted']

function isRecording(value: unknown): value is Recording {
  if (!isRecord(value)) return false
  const { hash, digest, stream, end, failure } = value
  return (
    typeof hash === 'string' &&
    Array.isArray(digest) &&
    digest.every((line) => typeof line === 'string') &&
    Array.isArray(stream) &&
    stream.every((part) => isRecord(part) && typeof part['at'] === 'number' && typeof part['type'] === 'string') &&
    ends.includes(end) &&
    (end === 'failed') === isFailure(failure)
  )
}

const isFailure = (value: unknown): value is RecordedFailure =>
  isRecord(value) &&
  typeof value['at'] === 'number' &&
  typeof value['failure'] === 'string' &&
  typeof value['message'] === 'string'
