/** Bounds of every turn. All times in milliseconds. */
export interface TurnLimits {
  /** Until the first piece of an answer. @default 60_000 */
  readonly firstTokenMs: number
  /** Between two pieces. @default 60_000 */
  readonly idleMs: number
  /** For one model call. @default 600_000 */
  readonly stepMs: number
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

export const defaultLimits: TurnLimits = {
  firstTokenMs: 60_000,
  idleMs: 60_000,
  stepMs: 600_000,
  flushMs: 1_000,
  attempts: 3,
  backoffMs: 500,
  longestWaitMs: 30_000,
  answerLength: 1_000_000,
  messageBytes: 1_048_576,
  callsPerStep: 32,
  parallelCalls: 8,
  queuedTurns: 32,
  approvalMs: 300_000,
  historyBytes: 67_108_864,
}
