import { defineErrors } from '../../kernel/errors.ts'

export const loopErrors = defineErrors({
  LEASE_LOST: { kind: 'conflict', message: 'another instance has taken this turn over' },
  SESSION_BUSY: { kind: 'conflict', message: 'the session is answering another message; wait for it or cancel it' },
  TURN_QUEUE_FULL: { kind: 'rate_limited', message: 'too many messages are waiting in this session' },
  TURN_DUPLICATE: { kind: 'rate_limited', message: 'the same message is being answered already' },
  TURN_FAILED: { kind: 'upstream', message: 'the turn failed' },
  TURN_TIMEOUT: { kind: 'timeout', message: 'the turn took too long' },
  TURN_CANCELLED: { kind: 'cancelled', message: 'the turn was cancelled' },
  TURN_INTERRUPTED: { kind: 'conflict', message: 'the turn was interrupted and waits for a decision' },
  TURN_NOT_INTERRUPTED: { kind: 'conflict', message: 'the turn does not wait for a decision, or its session is busy' },
  SESSION_OF_OTHER_AGENT: { kind: 'forbidden', message: 'the session belongs to another agent' },
  RUNTIME_STOPPED: { kind: 'unavailable', message: 'the runtime is stopping; try again soon' },
  IDEMPOTENCY_MISMATCH: { kind: 'unprocessable', message: 'this idempotency key was used with another request' },
  MESSAGE_INVALID: { kind: 'bad_request', message: 'a message is a text, or a list of parts of type text or image' },
  MESSAGE_EMPTY: { kind: 'bad_request', message: 'the message is empty' },
  MESSAGE_TOO_LONG: { kind: 'too_large', message: 'the message is too long' },
  LIMIT_INVALID: { kind: 'bad_request', message: 'a limit is not valid' },
  OUTPUT_INVALID: { kind: 'upstream', message: 'the answer does not fit the output of the agent' },
  OUTPUT_UNDECLARED: { kind: 'bad_request', message: 'the agent declares no output: it answers in plain text' },
  OUTPUT_PENDING: { kind: 'conflict', message: 'the turn waits for an approval and has no output yet' },
  STEP_LIMIT: { kind: 'upstream', message: 'the model kept calling tools past the step limit' },
})

/** The store did not take a write: the turn is where its last commit point left it, and nothing may be made of it. */
export class NotRecorded extends Error {
  constructor(cause: unknown) {
    super('the turn could not be recorded', { cause })
    this.name = 'NotRecorded'
  }
}

/** A model call that may not be made, with any model: nothing was sent. The cause tells why. */
export class CallRefused extends Error {
  constructor(cause: unknown) {
    super('the model call was refused', { cause })
    this.name = 'CallRefused'
  }
}
