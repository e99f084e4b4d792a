import { codeChanges } from './code-layer.ts'
import { encoded } from './content.ts'
import { type CodeDrift, configErrors } from './contract.ts'
import { emptyContent } from './section.ts'
import type { CodeLayer, ConfigStore, Generation } from './store.ts'

/** Generations without their contents. */
export interface Records {
  /** Generation 0 too, which is stored nowhere. Throws `GENERATION_NOT_FOUND`. */
  find(tenant: string, number: number): Promise<Generation>
  pin(tenant: string, number: number, pinned: boolean): Promise<Generation>
  /** How this code differs from the one a generation was made on; null when it does not. */
  driftOf(tenant: string, generation: Generation): Promise<CodeDrift | null>
}

/** `GENERATION_NOT_FOUND`, naming it. */
export const notFound = (number: unknown) =>
  configErrors.GENERATION_NOT_FOUND({ message: `no such generation: ${number}`, details: { number } })

export const isNumber = (number: number): boolean => Number.isSafeInteger(number) && number > 0

export function createRecords(store: ConfigStore, code: () => CodeLayer): Records {
  const zero = (): Generation => ({
    number: 0,
    parent: 0,
    author: 'code',
    description: 'the code layer alone',
    trigger: 'code',
    contentHash: encoded(emptyContent).hash,
    codeHash: code().hash,
    pinned: true,
    createdAt: 0,
  })

  return {
    async find(tenant, number) {
      if (number === 0) return zero()
      const found = isNumber(number) ? await store.get(tenant, number) : null
      if (!found) throw notFound(number)
      return found
    },

    async pin(tenant, number, pinned) {
      if (number === 0) return zero()
      const found = isNumber(number) ? await store.pin(tenant, number, pinned) : null
      if (!found) throw notFound(number)
      return found
    },

    async driftOf(tenant, { codeHash }) {
      const now = code()
      if (codeHash === now.hash) return null
      const then = await store.definitions(tenant, codeHash)
      return { definitions: then === null ? null : codeChanges(then, now.definitions) }
    },
  }
}
