import { z } from 'zod'

/** A whole number in a query. */
export const wholeNumber = z
  .string()
  .regex(/^-?\d+$/, 'must be a whole number')
  .transform(Number)

/** A limit in a query: what is out of bounds is moved to them. */
export const limitOf = (usual: number, most: number) =>
  wholeNumber.optional().transform((limit) => (limit === undefined ? usual : Math.min(Math.max(limit, 1), most)))
