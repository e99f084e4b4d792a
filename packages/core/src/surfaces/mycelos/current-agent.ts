import type { Agent } from '../../capabilities/agents/index.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { Client } from '../../runtime.ts'
import type { Settings } from './options.ts'

export const agentErrors = defineErrors({
  AGENT_MISSING: { kind: 'unavailable', message: 'The agent of this API is not configured' },
})

/** What the system calls its own agents. Here they are all the one that answers when no other was asked for. */
export const systemAgents: ReadonlySet<string> = new Set(['mycelos', 'builder', 'doctor'])

/** The agent that answers when no other was asked for, among those there are. */
export const pickDefault = (agents: readonly Agent[], { agent }: Settings): Agent | undefined =>
  agent === null ? agents[0] : agents.find(({ id }) => id === agent)

/** Throws `AGENT_MISSING`. */
export async function defaultAgent(client: Client, settings: Settings): Promise<Agent> {
  const agent = pickDefault(await client.agents.list(), settings)
  if (agent === undefined) throw agentErrors.AGENT_MISSING()
  return agent
}
