import { loopErrors } from './errors.ts'

/** Bounds of every turn. All times in milliseconds. */
export interface TurnLimits {
  /** Until the first piece of an answer. @default 60_000 */
  readonly firstTokenMs: number
  /** Between two pieces. @default 60_000 */
  readonly idleMs: number
  /** For one model call. @default 600_000 */
  readonly stepMs: number
  /**
   * For a turn, from its start or from where it goes on after an approval or elsewhere. Then it fails with
   * `TURN_TIMEOUT`; tools that run are aborted. @default 1_800_000
   */
  readonly turnMs: number
  /** How long the text of a running step may be in memory only. @default 1_000 */
  readonly flushMs: number
  /** Calls of the same model in one step, counting the first. @default 3 */
  readonly attempts: number
  /** First wait between two attempts; doubles, with jitter. @default 500 */
  readonly backoffMs: number
  /** A provider that asks for a longer wait is passed over. @default 30_000 */
  readonly longestWaitMs: number
  /** Characters of one answer. @default 1_000_000 */
  readonly answerLength: number
  /** Bytes of one user message. @default 1_048_576 */
  readonly messageBytes: number
  /** Bytes of all images of one user message. @default 8_388_608 */
  readonly imageBytes: number
  /** Tool calls of one step; the rest is refused. @default 32 */
  readonly callsPerStep: number
  /** Tool calls that run at once. @default 8 */
  readonly parallelCalls: number
  /** Messages that may wait in one session. @default 32 */
  readonly queuedTurns: number
  /** How long an approval waits for its decision. @default 300_000 */
  readonly approvalMs: number
  /** Approximate bytes of session history kept parsed in memory. @default 67_108_864 */
  readonly historyBytes: number
}

const defaultLimits: TurnLimits = {
  firstTokenMs: 60_000,
  idleMs: 60_000,
  stepMs: 600_000,
  turnMs: 1_800_000,
  flushMs: 1_000,
  attempts: 3,
  backoffMs: 500,
  longestWaitMs: 30_000,
  answerLength: 1_000_000,
  messageBytes: 1_048_576,
  imageBytes: 8_388_608,
  callsPerStep: 32,
  parallelCalls: 8,
  queuedTurns: 32,
  approvalMs: 300_000,
  historyBytes: 67_108_864,
}

/** Timers of the platform hold no more. */
const longestMs = 2 ** 31 - 1

/** Throws `LIMIT_INVALID` for a time that no timer can hold. */
export function checkTurnMs(turnMs: number): number {
  if (Number.isInteger(turnMs) && turnMs >= 1 && turnMs <= longestMs) return turnMs
  throw loopErrors.LIMIT_INVALID({ message: `turnMs must be a whole number from 1 to ${longestMs}` })
}

/** The limits with their defaults. Throws `LIMIT_INVALID` for one that would make every turn fail, or none end. */
export function limitsOf(given: Partial<TurnLimits> = {}): TurnLimits {
  const limits: Record<string, number> = { ...defaultLimits }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    const least = name === 'queuedTurns' || name === 'historyBytes' || name === 'backoffMs' ? 0 : 1
    if (!(name in defaultLimits)) throw loopErrors.LIMIT_INVALID({ message: `there is no limit called ${name}` })
    if (
      !Number.isInteger(value) ||
      value < least ||
      value > (name.endsWith('Ms') ? longestMs : Number.MAX_SAFE_INTEGER)
    ) {
      throw loopErrors.LIMIT_INVALID({ message: `the limit ${name} must be a whole number from ${least}` })
    }
    limits[name] = value
  }
  return limits as unknown as TurnLimits
}
