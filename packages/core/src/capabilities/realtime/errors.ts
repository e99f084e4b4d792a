import { defineErrors } from '../../kernel/errors.ts'

export const realtimeErrors = defineErrors({
  TICKET_INVALID: {
    kind: 'unauthenticated',
    message: 'credentials, or a ticket that was neither used nor has expired, are required',
  },
  TICKETS_EXHAUSTED: { kind: 'rate_limited', message: 'too many tickets wait to be used' },
})
