import type { ModelInfo, ModelPart, ModelRequest, Provider } from '../capabilities/models/index.ts'
import { isModelFailure, ModelFailure } from '../capabilities/models/index.ts'
import { type Clock, systemClock } from '../kernel/clock.ts'
import {
  type Cassette,
  cassetteErrors,
  cassetteFile,
  cassetteName,
  type RecordedFailure,
  type RecordedPart,
  type Recording,
  readCassette,
  writeCassette,
} from './cassette.ts'
import { pause } from './pause.ts'
import { createRedaction, type Redact, type Redaction } from './redaction.ts'
import { diffDigests, digestRequest, type RequestDigest } from './request-digest.ts'

interface CassetteOptions {
  /** The file, e.g. `new URL('booking.cassette.json', import.meta.url)`. One for each test. */
  readonly cassette: string | URL
  /** Taken out of all that is stored and compared, besides keys, credentials and the secrets of the environment. */
  readonly redact?: Redact
  /** Whose time a recording takes and a replay gives. @default the system clock for recording; a replay comes at once */
  readonly clock?: Clock
}

export interface ReplayOptions extends CassetteOptions {
  /** Prefix of its models. @default that of the provider that was recorded */
  readonly id?: string
  readonly models?: readonly ModelInfo[]
}

export interface RecordOptions extends CassetteOptions {
  /** `auto` records when there is no cassette. @default 'record' when `KEELSON_RECORD=1` is set, else 'replay' */
  readonly mode?: 'replay' | 'record' | 'auto'
}

/** A model whose calls come from a cassette, or go into one. */
export interface RecordedModel extends Provider {
  readonly mode: 'replay' | 'record'
  /**
   * Throws `CASSETTE_DRIFT` when a request came that was not recorded, `CASSETTE_UNUSED` when a recording was not used,
   * and after recording `CASSETTE_NOT_WRITTEN` when it is not all in the file.
   */
  assertComplete(): void
}

/**
 * Answers from a cassette: each request with the stream that was recorded for the same one, in order, with its failures.
 * A request that was not recorded fails with `CASSETTE_DRIFT` and what has changed. Throws `CASSETTE_MISSING`,
 * `CASSETTE_DAMAGED` or `CASSETTE_TOO_NEW`.
 */
export function replayModel(options: ReplayOptions): RecordedModel {
  const file = cassetteFile(options.cassette)
  const cassette = readCassette(file)
  if (cassette === null) {
    throw cassetteErrors.CASSETTE_MISSING({
      message: `there is no ${cassetteName(file)}; record it with recordModel and KEELSON_RECORD=1`,
    })
  }
  const { id = cassette.provider, models } = options
  return replay({ id, ...(models === undefined ? {} : { models }) }, file, cassette, options)
}

/**
 * The provider with a cassette between: its calls are replayed without it, or made and written down, secrets taken out.
 * Each call is in the file when it ends. The first one replaces what the file held.
 */
export function recordModel(provider: Provider, options: RecordOptions): RecordedModel {
  const { mode = process.env['KEELSON_RECORD'] === '1' ? 'record' : 'replay' } = options
  if (!['replay', 'record', 'auto'].includes(mode)) throw cassetteErrors.CASSETTE_MODE()
  const file = cassetteFile(options.cassette)
  const { id, local, models } = provider
  const described = {
    id,
    ...(local === undefined ? {} : { local }),
    ...(models === undefined ? {} : { models }),
  }
  if (mode !== 'record') {
    const cassette = readCassette(file)
    if (cassette) return replay(described, file, cassette, options)
    if (mode === 'replay') return replayModel(options)
  }
  return record(described, file, provider, options)
}

type Described = Pick<Provider, 'id' | 'local' | 'models'>

function replay(described: Described, file: string, cassette: Cassette, options: CassetteOptions): RecordedModel {
  const redaction = createRedaction(options.redact)
  const unused = [...cassette.recordings]
  const drifted: Error[] = []

  const take = (model: string, request: ModelRequest): Recording => {
    const asked = digestRequest(model, request, redaction)
    const index = unused.findIndex(({ hash }) => hash === asked.hash)
    const [recording] = index < 0 ? [] : unused.splice(index, 1)
    if (recording) return recording
    const drift = cassetteErrors.CASSETTE_DRIFT({ message: driftText(file, cassette, unused, asked) })
    drifted.push(drift)
    throw drift
  }

  return {
    ...described,
    mode: 'replay',
    async *stream(model, request, signal) {
      signal.throwIfAborted()
      yield* play(take(model, request), options.clock, signal)
    },
    assertComplete() {
      if (drifted[0]) throw drifted[0]
      if (unused.length === 0) return
      const list = unused.map(
        ({ digest }) => `  ${cassette.recordings.findIndex((each) => each.digest === digest) + 1}. ${digest.at(-1)}`,
      )
      throw cassetteErrors.CASSETTE_UNUSED({
        message: `${cassetteName(file)}: ${unused.length} of ${cassette.recordings.length} recordings were not used:\n${list.join('\n')}`,
      })
    },
  }
}

async function* play(recording: Recording, clock: Clock | undefined, signal: AbortSignal): AsyncGenerator<ModelPart> {
  let passed = 0
  const until = async (at: number): Promise<void> => {
    if (clock && at > passed) await pause(clock, at - passed, signal)
    signal.throwIfAborted()
    passed = at
  }
  for (const { at, ...part } of recording.stream) {
    await until(at)
    yield part
  }
  if (recording.failure) {
    const { at, failure, message, retryAfterMs, status } = recording.failure
    await until(at)
    throw new ModelFailure(failure, message, { retryAfterMs, status })
  }
  if (recording.end === 'aborted') await pause(systemClock, null, signal)
}

/** The recording that is nearest to what was asked shows best what has changed. */
function driftText(file: string, { recordings }: Cassette, unused: readonly Recording[], asked: RequestDigest): string {
  const again = 'Record it anew with KEELSON_RECORD=1 if the change is meant.'
  const [nearest] = unused
    .map((recording) => ({ recording, diff: diffDigests(recording.digest, asked.digest) }))
    .sort((one, other) => one.diff.changes - other.diff.changes)
  if (!nearest) {
    const request = asked.digest.map((line) => `  + ${line}`).join('\n')
    const count = recordings.length === 1 ? 'its one recording is' : `all its ${recordings.length} recordings are`
    return `${cassetteName(file)}: a request came, and ${count} used:\n${request}\n${again}`
  }
  const number = recordings.indexOf(nearest.recording) + 1
  return `${cassetteName(file)}: a request is not what was recorded. Against recording ${number} of ${recordings.length}:\n${nearest.diff.text}\n${again}`
}

function record(described: Described, file: string, provider: Provider, options: CassetteOptions): RecordedModel {
  const redaction = createRedaction(options.redact)
  const clock = options.clock ?? systemClock
  const before = new Map((knownAt(file)?.recordings ?? []).map((recording) => [withoutTimes(recording), recording]))
  const taken: (Recording | null)[] = []
  let unwritten: unknown

  const keep = (index: number, recording: Recording) => {
    // What has not changed keeps its times: recording it anew changes no byte.
    taken[index] = before.get(withoutTimes(recording)) ?? recording
    try {
      writeCassette(file, { provider: provider.id, recordings: taken.filter((each) => each !== null) })
    } catch (error) {
      unwritten = error
      throw error
    }
  }

  return {
    ...described,
    mode: 'record',
    async *stream(model, request, signal) {
      const asked = digestRequest(model, request, redaction)
      const startedAt = clock.now()
      const at = () => Math.max(0, Math.round(clock.now() - startedAt))
      const stream: RecordedPart[] = []
      const index = taken.push(null) - 1
      let ended = false
      const end = (how: Recording['end'], failure?: RecordedFailure) => {
        if (ended) return
        ended = true
        const parts = clean(stream, redaction)
        keep(index, { ...asked, stream: parts, ...(failure === undefined ? {} : { failure }), end: how })
      }
      const aborted = () => {
        try {
          end('aborted')
        } catch {
          // Nobody hears of it here; `assertComplete` tells.
        }
      }
      signal.addEventListener('abort', aborted, { once: true })
      try {
        for await (const part of provider.stream(model, request, signal)) {
          if (!ended) stream.push({ at: at(), ...part })
          // Nobody reads on after it.
          if (part.type === 'finish') end('finished')
          yield part
        }
        end('cut')
      } catch (error) {
        // Anything else is a defect and no answer of the model.
        if (isModelFailure(error)) end('failed', failureOf(error, at(), redaction))
        else ended = true
        throw error
      } finally {
        signal.removeEventListener('abort', aborted)
        end('aborted')
      }
    },
    assertComplete() {
      if (unwritten !== undefined) throw unwritten
    },
  }
}

/** What a file holds that is about to be replaced; nothing when it cannot be read. */
function knownAt(file: string): Cassette | null {
  try {
    return readCassette(file)
  } catch {
    return null
  }
}

const withoutTimes = (recording: Recording): string =>
  JSON.stringify(recording, (key, value: unknown) => (key === 'at' ? undefined : value))

function failureOf({ failure, message, retryAfterMs, status }: ModelFailure, at: number, { text }: Redaction) {
  return {
    at,
    failure,
    message: text(message),
    ...(status === undefined ? {} : { status }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  }
}

/** Takes secrets out of a stream, those too that came in several pieces: such pieces become one. */
function clean(stream: readonly RecordedPart[], redaction: Redaction): RecordedPart[] {
  const done: RecordedPart[] = []
  for (let index = 0; index < stream.length; ) {
    const first = stream[index]
    if (first === undefined) break
    let next = index + 1
    if (first.type === 'text' || first.type === 'reasoning') {
      const run = [first]
      // A state belongs to the thought that it ends.
      while (stream[next]?.type === first.type && !(run.at(-1) as { state?: unknown }).state) {
        run.push(stream[next] as typeof first)
        next += 1
      }
      const whole = run.map(({ text }) => text).join('')
      const hidden = redaction.text(whole)
      if (hidden === whole) done.push(...run)
      else done.push({ ...(run.at(-1) ?? first), at: first.at, text: hidden })
    } else if (first.type === 'tool-call') {
      done.push({ ...first, arguments: redaction.text(first.arguments) })
    } else {
      done.push(first)
    }
    index = next
  }
  return done
}
