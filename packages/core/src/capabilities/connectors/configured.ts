import type { Implementation } from '../../contract/invoke.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { ConfigContent, ConfigReader, configOperations } from '../config/index.ts'
import type { ConnectorDefinition } from './connector.ts'
import type { ConnectorDefinitions } from './dependencies.ts'
import { connectorErrors } from './errors.ts'
import { entryOf } from './section.ts'

const mostTries = 5
const none: readonly ConnectorDefinition[] = []

export interface ConfiguredDependencies {
  readonly reader: ConfigReader
  readonly change: Implementation<typeof configOperations>['change']
}

/** Operators' connectors as generations of the configuration: every change is one. */
export function configuredConnectors({ change, reader }: ConfiguredDependencies): ConnectorDefinitions {
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

    async put(context, definition, { absent = false, ...note }) {
      const patch = { connectors: { [definition.name]: entryOf(definition) } }
      for (let tries = 1; ; tries += 1) {
        const { generation, content } = await reader.active(context.principal.tenant)
        if (absent && listOf(content).some(({ name }) => name === definition.name)) {
          throw connectorErrors.CONNECTOR_EXISTS({ message: `there is a connector ${definition.name}` })
        }
        try {
          // One that is to be new must not replace what somebody else adds meanwhile.
          await change(context, { ...(absent ? { expected: generation } : {}), ...note, patch })
          return
        } catch (error) {
          const raced = isKeelsonError(error) && error.code === 'CONFIG_CONFLICT'
          if (!raced || note.expected !== undefined || tries === mostTries) throw error
        }
      }
    },

    async remove(context, name, note) {
      await change(context, { ...note, patch: { connectors: { [name]: null } } })
    },
  }
}
