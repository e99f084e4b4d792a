import { operation } from '../../contract/operation.ts'
import type { TurnListener } from './broadcast.ts'
import type { Ticket } from './tickets.ts'

/** Begins to tell a listener of turns as they happen, until what it returns is called. */
export type Listen = (listener: TurnListener) => () => void

export const realtimeOperations = {
  /** A ticket that proves its caller once, where no header can be sent. Good on this instance only. */
  issueTicket: operation<void, Ticket>({ auth: 'caller', effect: 'write', errors: ['TICKETS_EXHAUSTED'] }),
  /**
   * The events of all turns within the caller's reach that run on this instance, from now on. A caller who has proven
   * nothing needs a ticket. Checked like a write: no rule of browsers keeps a foreign page from opening a socket.
   */
  subscribe: operation<{ readonly ticket?: string | undefined }, Listen>({
    auth: 'open',
    effect: 'write',
    errors: ['TICKET_INVALID'],
  }),
}
