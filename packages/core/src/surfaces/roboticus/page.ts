import { z } from 'zod'
import { limitOf, wholeNumber } from './whole-number.ts'

const usualLimit = 200
const mostAtOnce = 500

/** `limit` and `offset` of the lists that have pages. */
export const page = z.object({
  limit: limitOf(usualLimit, mostAtOnce),
  offset: wholeNumber.optional().transform((offset) => Math.min(Math.max(offset ?? 0, 0), Number.MAX_SAFE_INTEGER)),
})
