import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Agent } from '../agents/index.ts'
import type { systemOperations } from './contract.ts'

export interface SystemDependencies {
  readonly clock: Clock
  readonly version: string
  agents(): readonly Agent[]
}

export function createSystem(dependencies: SystemDependencies): Implementation<typeof systemOperations> {
  const { agents, clock, version } = dependencies
  const startedAt = clock.now()
  return {
    health: () => ({
      status: 'ok',
      version,
      uptimeMs: clock.now() - startedAt,
      agents: agents().map(({ id, name, models }) => ({ id, name, models })),
    }),
  }
}
