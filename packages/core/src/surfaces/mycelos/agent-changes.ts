import type { Agent, AgentEntry } from '../../capabilities/agents/index.ts'
import { againOnConflict } from '../../capabilities/config/index.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { Client } from '../../runtime.ts'
import type { Answer } from './decision-words.ts'

type Entries = Readonly<Record<string, AgentEntry>>

/**
 * Changes what the configuration says of agents: what `change` returns replaces their entries. A generation, unless the
 * state was the wanted one already. Throws what `config.change` throws.
 */
export async function changeAgents(
  client: Client,
  change: (agents: readonly Agent[], entries: Entries) => Entries,
  note: { readonly trigger: string; readonly description: string },
): Promise<void> {
  await againOnConflict(async () => {
    const [{ content, number }, agents] = await Promise.all([client.config.active(), client.agents.list()])
    const changed = change(agents, (content['agents'] ?? {}) as Entries)
    if (Object.keys(changed).length === 0) return
    const patch = { agents: changed as Readonly<Record<string, JsonObject>> }
    await client.config.change({ patch, expected: number, numbering: 'reuse', ...note })
  })
}

/** Has an answer about a tool hold from now on, for the agent that asked or for all there are. */
export async function remember(client: Client, { decision, remember: whom }: Answer, agent: string, tool: string) {
  const permission = decision === 'approve' ? 'allow' : 'deny'
  await changeAgents(
    client,
    (agents, entries) => {
      const ids = whom === 'all' ? agents.map(({ id }) => id) : [agent]
      return Object.fromEntries(
        ids.map((id) => {
          const entry = entries[id] ?? {}
          return [id, { ...entry, permissions: { ...entry.permissions, [tool]: permission } }]
        }),
      )
    },
    { trigger: 'policy_set', description: `${permission} ${tool} for ${whom === 'all' ? 'all agents' : agent}` },
  )
}
