import type { Principal } from '../../kernel/context.ts'
import type { Usage } from '../sessions/index.ts'
import type { Model } from './model.ts'

/** A call outside of any turn that may be made, and that is paid for whatever comes of it. */
export interface ChargedCall {
  /** It was answered. `usage` is what the provider says, whatever that is. Resolves with what it counts as. */
  finished(usage: unknown, saidBytes: number): Promise<Usage>
  /** The same of one that is billed by what no rate card has, such as the length of audio. */
  unrated(): Promise<Usage>
  /** It came to nothing. What had been said may have been paid for. */
  failed(saidBytes: number): Promise<void>
}

/** Before each call: sets aside what it may cost at most. Rejects when it may not be made; then nothing was sent. */
export type ChargeCall = (
  principal: Principal,
  model: Model,
  requestBytes: number,
  maxOutputTokens: number,
) => Promise<ChargedCall>
