import type { Config, ConfigContent, ConfigReader } from '../config/index.ts'
import type { ConnectorDefinition } from './connector.ts'
import type { ConnectorDefinitions } from './dependencies.ts'
import { entryOf } from './section.ts'

const none: readonly ConnectorDefinition[] = []

export interface ConfiguredDependencies {
  readonly reader: ConfigReader
  readonly edit: Config['edit']
}

/** Operators' connectors as generations of the configuration: every change is one. */
export function configuredConnectors({ edit, reader }: ConfiguredDependencies): ConnectorDefinitions {
  const lists = new WeakMap<ConfigContent, readonly ConnectorDefinition[]>()

  function listOf(content: ConfigContent): readonly ConnectorDefinition[] {
    const section = content['connectors']
    if (section === undefined) return none
    const known = lists.get(content)
    if (known) return known
    // Checked before it became active; what a newer check refuses shows when it is used.
    const made = Object.entries(section).map(([name, entry]) => ({ ...entry, name }) as unknown as ConnectorDefinition)
    lists.set(content, made)
    return made
  }

  return {
    list(tenant) {
      const active = reader.active(tenant)
      return active instanceof Promise ? active.then(({ content }) => listOf(content)) : listOf(active.content)
    },

    async change(context, name, { make, secrets }, note) {
      await edit(context, note, (content) => {
        const made = make(listOf(content).find((definition) => definition.name === name) ?? null)
        return { patch: { connectors: { [name]: made && entryOf(made) } }, secrets }
      })
    },
  }
}
