import { isKeelsonError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { ConfigDraft, ConfigProblem, ConfigSection } from '../config/index.ts'
import { checkProgram } from './command.ts'
import { type ConnectorDefinition, jsonOf, problemsOf } from './connector.ts'
import type { ConnectorsDependencies } from './dependencies.ts'

/** What an entry may say: nothing else may get into a generation, a secret least of all. */
const fields: readonly string[] = ['displayName', 'transport', 'enabled', 'trustAnnotations', 'risks']
const transportFields: Readonly<Record<string, readonly string[]>> = {
  stdio: ['type', 'command', 'args', 'env'],
  http: ['type', 'url', 'headers'],
}

/** A definition as an entry: the name is its id. */
export function entryOf(definition: ConnectorDefinition): JsonObject {
  const { name: _, ...entry } = jsonOf(definition)
  return entry
}

const foreign = (value: unknown, known: readonly string[] = []): string[] =>
  typeof value === 'object' && value !== null ? Object.keys(value).filter((key) => !known.includes(key)) : []

/** The `connectors` section: by name, definitions over those of the code. */
export function connectorsSection({
  driver,
  allowProcesses,
}: Pick<ConnectorsDependencies, 'driver' | 'allowProcesses'>): ConfigSection {
  const inCode = new Map((driver?.definitions ?? []).map((definition) => [definition.name, definition]))

  function programProblems(id: string, { transport }: ConnectorDefinition): string[] {
    const own = inCode.get(id)
    // What the host runs itself may be switched off and on.
    if (transport.type !== 'stdio' || (own && sameTransport(own, { ...own, transport }))) return []
    if (!allowProcesses) return ['this runtime starts no programs']
    try {
      checkProgram(transport.command, driver?.programs ?? [])
      return []
    } catch (error) {
      if (!isKeelsonError(error)) throw error
      return [error.message]
    }
  }

  return {
    name: 'connectors',
    code: () => Object.fromEntries([...inCode].map(([name, definition]) => [name, entryOf(definition)])),

    check(id, entry) {
      if (!driver) return ['this runtime has no connectors']
      const { transport } = entry as { transport?: { type?: unknown } }
      const unknown = [
        ...foreign(entry, fields),
        ...foreign(transport, transportFields[String(transport?.type)]).map((key) => `transport.${key}`),
      ]
      if (unknown.length > 0) return unknown.map((key) => `${key} is not known`)
      const definition = { ...entry, name: id }
      const problems = problemsOf(definition)
      return problems.length > 0 ? problems : programProblems(id, definition as unknown as ConnectorDefinition)
    },

    checkDraft({ content }: ConfigDraft): ConfigProblem[] {
      const known = content['connectors'] ?? {}
      return Object.entries(content['agents'] ?? {}).flatMap(([id, { connectors }]) =>
        (Array.isArray(connectors) ? connectors : [])
          .filter((name) => !inCode.has(String(name)) && !Object.hasOwn(known, String(name)))
          .map((name) => ({ section: 'agents', id, problem: `there is no connector ${JSON.stringify(name)}` })),
      )
    },
  }
}

export const sameTransport = (one: ConnectorDefinition, other: ConnectorDefinition): boolean =>
  JSON.stringify(jsonOf(one)['transport']) === JSON.stringify(jsonOf(other)['transport'])
