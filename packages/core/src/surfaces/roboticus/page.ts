import { z } from 'zod'

const usualLimit = 200
const mostAtOnce = 500

const wholeNumber = z
  .string()
  .regex(/^-?\d+$/, 'must be a whole number')
  .transform(Number)

/** `limit` and `offset` of the lists that have pages. */
export const page = z.object({
  limit: wholeNumber
    .optional()
    .transform((limit) => (limit === undefined ? usualLimit : Math.min(Math.max(limit, 1), mostAtOnce))),
  offset: wholeNumber.optional().transform((offset) => Math.min(Math.max(offset ?? 0, 0), Number.MAX_SAFE_INTEGER)),
})
