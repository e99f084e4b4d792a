import { describe } from 'vitest'
import { describeAborts } from './provider/aborts.ts'
import { describeAnswers } from './provider/answers.ts'
import { describeAsking } from './provider/asking.ts'
import { describeFaults } from './provider/faults.ts'
import type { ProviderKit } from './provider/kit.ts'
import { describeMocked } from './provider/mocked.ts'

export type { FakeEnd, FakeItem, ProviderKit, WireProtocol } from './provider/kit.ts'

/**
 * Tests of what every provider promises to the runtime. Registers one `describe`; call it at the top of a test file.
 * The kit says how the vendor's servers write (`wire`); a server of its own, started for each test, writes it, and does
 * what goes wrong: cuts, nonsense, pages of proxies, silence, lines without end.
 */
export function describeProvider(name: string, kit: ProviderKit): void {
  describe(`provider ${name}`, () => {
    describeAnswers(kit)
    describeAsking(kit)
    describeFaults(kit)
    describeAborts(kit)
    describeMocked(kit)
  })
}
