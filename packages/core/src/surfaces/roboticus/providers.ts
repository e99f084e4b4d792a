import { z } from 'zod'
import { providerKeyEntry } from '../../capabilities/config/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { providerOf } from './formats.ts'

const section = 'Providers'

/** The providers by name, and whether the vault has a key for each. */
export async function providersOf(client: Client) {
  const [registered, keys, agents] = await Promise.all([
    client.models.providers(),
    client.providerKeys.list(),
    client.agents.list(),
  ])
  // One that answers for every name is known by the names that are used.
  const any = registered.find(({ id }) => id === '*')
  const used = any ? agents.flatMap(({ models }) => models.map(providerOf)) : []
  const ids = [...new Set([...registered.map(({ id }) => id).filter((id) => id !== '*'), ...used])]
  return ids.map((id) => ({
    id,
    local: (registered.find((each) => each.id === id) ?? any)?.local ?? false,
    key: keys.includes(id),
  }))
}

export const providerRoutes = (): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'PUT',
    path: '/api/providers/:name/key',
    section,
    summary: 'Set the API key of a provider; it is never shown again',
    body: z.object({ api_key: z.string() }),
    response: z.strictObject({ stored: z.literal(true), provider: z.string(), keystore_entry: z.string() }),
    async handle({ client, params: { name }, body }) {
      await client.providerKeys.set({ provider: name, key: body.api_key })
      return { json: { stored: true, provider: name, keystore_entry: providerKeyEntry(name) } }
    },
  }),

  route<Client>()({
    method: 'DELETE',
    path: '/api/providers/:name/key',
    section,
    summary: 'Remove the API key of a provider',
    response: z.strictObject({ removed: z.boolean(), provider: z.string(), keystore_entry: z.string() }),
    async handle({ client, params: { name } }) {
      const removed = await client.providerKeys.remove({ provider: name })
      return { json: { removed, provider: name, keystore_entry: providerKeyEntry(name) } }
    },
  }),
]
