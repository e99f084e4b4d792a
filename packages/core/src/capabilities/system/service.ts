import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { defaultTenant, nobody } from '../../kernel/context.ts'
import type { Agent } from '../agents/index.ts'
import type { systemOperations } from './contract.ts'

export interface SystemDependencies {
  readonly clock: Clock
  readonly version: string
  /** The agents of a caller's tenant; nobody is shown those of the default one. */
  agents(caller: { readonly tenant: string }): Promise<readonly Agent[]>
}

export function createSystem(dependencies: SystemDependencies): Implementation<typeof systemOperations> {
  const { agents, clock, version } = dependencies
  const startedAt = clock.now()
  return {
    health: async ({ principal }) => ({
      status: 'ok',
      version,
      uptimeMs: clock.now() - startedAt,
      agents: (await agents(principal === nobody ? { tenant: defaultTenant } : principal)).map(
        ({ id, name, models }) => ({
          id,
          name,
          models,
        }),
      ),
    }),
  }
}
