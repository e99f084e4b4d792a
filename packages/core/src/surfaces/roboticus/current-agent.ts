import type { Health } from '../../capabilities/system/index.ts'
import type { Client } from '../../runtime.ts'
import { roboticusErrors } from './errors.ts'
import type { Settings } from './options.ts'

export interface CurrentAgent {
  readonly id: string
  readonly name: string
  /** Best first. */
  readonly models: readonly string[]
  readonly primary: string
  readonly health: Health
}

/** The one agent that this API speaks for. Throws `AGENT_MISSING`. */
export async function currentAgent(client: Client, settings: Settings): Promise<CurrentAgent> {
  const health = await client.system.health()
  const agent = settings.agent === null ? health.agents[0] : health.agents.find(({ id }) => id === settings.agent)
  if (agent === undefined) throw roboticusErrors.AGENT_MISSING()
  return { ...agent, primary: agent.models[0] ?? '', health }
}
