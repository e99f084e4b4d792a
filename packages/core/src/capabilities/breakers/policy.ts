import { defineErrors } from '../../kernel/errors.ts'

/** When breakers open, and for how long. */
export interface BreakerPolicy {
  /** Failures within the window that open a breaker. */
  readonly threshold: number
  readonly windowMs: number
  /** How long a breaker stays open before a call may try the provider. Doubles with every try that fails. */
  readonly cooldownMs: number
  readonly maxCooldownMs: number
  /**
   * Share of the calls within the window, 0 to 1, that must have failed, too. Counted by each instance for itself. With
   * 0 the threshold alone counts, however many calls go well beside.
   */
  readonly failureRate: number
  /** How long the call that tries has the field to itself, should its instance die. */
  readonly probeMs: number
}

export const breakerPolicies = {
  /** Five failures, if they are a tenth of the calls; half a minute to five. */
  standard: {
    threshold: 5,
    windowMs: 60_000,
    cooldownMs: 30_000,
    maxCooldownMs: 300_000,
    failureRate: 0.1,
    probeMs: 60_000,
  },
  /** Three failures, whatever else goes well; one minute to fifteen. */
  strict: {
    threshold: 3,
    windowMs: 60_000,
    cooldownMs: 60_000,
    maxCooldownMs: 900_000,
    failureRate: 0,
    probeMs: 60_000,
  },
} as const satisfies Record<string, BreakerPolicy>

export type BreakerOptions = Partial<BreakerPolicy> & {
  /** Whose numbers hold where none is given. @default 'standard' */
  readonly policy?: keyof typeof breakerPolicies
}

export const breakerErrors = defineErrors({
  BREAKER_OPTIONS_INVALID: { kind: 'bad_request', message: 'an option of the breakers is not valid' },
  PROVIDER_UNKNOWN: { kind: 'not_found', message: 'no such provider' },
  BREAKER_CONTENDED: { kind: 'unavailable', message: 'the breaker changed again and again; try once more' },
})

/** Timers of the platform hold no more. */
const longestMs = 2 ** 31 - 1
const mostFailures = 1_000

/** Throws `BREAKER_OPTIONS_INVALID`. */
export function policyOf({ policy = 'standard', ...given }: BreakerOptions = {}): BreakerPolicy {
  const refuse = (message: string) => breakerErrors.BREAKER_OPTIONS_INVALID({ message: `breakers: ${message}` })
  if (!Object.hasOwn(breakerPolicies, policy)) throw refuse(`there is no policy called ${JSON.stringify(policy)}`)
  const numbers: Record<string, number> = { ...breakerPolicies[policy] }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    if (!Object.hasOwn(numbers, name)) throw refuse(`there is no option called ${name}`)
    numbers[name] = value
  }
  const made = numbers as unknown as BreakerPolicy
  const whole = (name: keyof BreakerPolicy, most: number) => {
    if (!Number.isInteger(made[name]) || made[name] < 1 || made[name] > most) {
      throw refuse(`${name} must be a whole number from 1 to ${most}`)
    }
  }
  whole('threshold', mostFailures)
  for (const name of ['windowMs', 'cooldownMs', 'maxCooldownMs', 'probeMs'] as const) whole(name, longestMs)
  if (made.maxCooldownMs < made.cooldownMs) throw refuse('maxCooldownMs must not be less than cooldownMs')
  if (!(made.failureRate >= 0 && made.failureRate <= 1)) throw refuse('failureRate must be from 0 to 1')
  return made
}
