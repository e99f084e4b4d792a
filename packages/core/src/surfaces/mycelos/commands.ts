import type { Agent } from '../../capabilities/agents/index.ts'
import type { Connector } from '../../capabilities/connectors/index.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { Client } from '../../runtime.ts'
import { generationsOf, rollBack } from './config.ts'
import { addConnector, connectorsOf, removeConnector } from './connectors.ts'
import { costOf } from './cost.ts'
import { excerpt, rowTime } from './formats.ts'
import { modelsInUse } from './models.ts'
import type { Settings } from './options.ts'
import { fill, type Texts, textsIn } from './texts.ts'

/** Who types a command, where, and what there is. */
export interface CommandContext {
  readonly client: Client
  readonly settings: Settings
  readonly session: string
  readonly message: string
  readonly agents: readonly Agent[]
  readonly standard: Agent | undefined
}

interface Command {
  readonly usage: string
  readonly does: string
  /** Markdown; null for words that it knows nothing to do with. `rest` is what follows the first word, as it was typed. */
  run(
    context: CommandContext,
    words: readonly string[],
    texts: Texts,
    rest: string,
  ): string | null | Promise<string | null>
}

const listed = 20
/** Connectors that are connected to at the same time. */
const startsAtOnce = 4

/** A row of a Markdown list; what comes from people is kept on its line. */
const item = (name: string, rest: string): string => `- **${name}** ${rest}`.trimEnd()

const rows = (lines: readonly string[], texts: Texts): string =>
  lines.length === 0 ? texts.commands.nothing : lines.join('\n')

const commands: Readonly<Record<string, Command>> = {
  help: {
    usage: '/help',
    does: 'lists the commands',
    run: () =>
      Object.values(commands)
        .map(({ does, usage }) => `- \`${usage}\` ${does}`)
        .join('\n'),
  },
  sessions: {
    usage: '/sessions',
    does: 'lists the sessions that were active last',
    async run({ client, session: here }, words, texts) {
      if (words.length > 0) return null
      const sessions = await client.sessions.list({ limit: listed, offset: 0, order: 'activity' })
      return rows(
        sessions.map(({ id, messageCount, title, updatedAt }) =>
          item(
            excerpt(title ?? id, 60),
            `(${messageCount} messages, ${rowTime(updatedAt)})${id === here ? ' \u2190' : ''}`,
          ),
        ),
        texts,
      )
    },
  },
  agent: {
    usage: '/agent [list | <id>]',
    does: 'lists the agents, or shows one',
    async run({ agents, client, standard }, [id = 'list', action = 'info', ...more], texts) {
      if (action !== 'info' || more.length > 0) return null
      if (id !== 'list') {
        const agent = await client.agents.get({ id })
        const tools = agent.tools.map(({ name }) => `\`${name}\``).join(', ')
        return [
          item(agent.name, `(\`${agent.id}\`) ${excerpt(agent.description, 200)}`),
          `- models: ${agent.models.map((model) => `\`${model}\``).join(', ')}`,
          `- tools: ${tools || '-'}`,
        ].join('\n')
      }
      return rows(
        agents.map((agent) => item(agent.name, `(\`${agent.id}\`)${agent === standard ? ' \u2190' : ''}`)),
        texts,
      )
    },
  },
  memory: {
    usage: '/memory [list | search <words>]',
    does: 'lists the notes that were edited last, or searches them',
    async run({ client }, [action = 'list', ...words], texts, rest) {
      if (action !== 'list' && (action !== 'search' || words.length === 0)) return null
      const notes = await (action === 'list'
        ? client.notes.list({ limit: listed, offset: 0 })
        : client.notes.search({ query: rest, limit: listed }))
      return rows(
        notes.map(({ path, title }) => item(excerpt(title, 80), `(\`${path}\`)`)),
        texts,
      )
    },
  },
  cost: {
    usage: '/cost [today | week | month | all]',
    does: 'shows what model calls cost',
    async run({ client }, [period = 'today', ...more], texts) {
      if (!['today', 'week', 'month', 'all'].includes(period) || more.length > 0) return null
      const { models, total_cost, total_tokens } = await costOf(client, period)
      return rows(
        [
          item(`${total_cost.toFixed(4)} USD`, `(${total_tokens} tokens)`),
          ...models.slice(0, listed).map((each) => item(each.model, `${each.total_cost.toFixed(4)} USD`)),
        ],
        texts,
      )
    },
  },
  config: {
    usage: '/config [list | rollback <generation>]',
    does: 'lists the generations of the configuration, or goes back to one',
    async run({ client }, [action = 'list', number, ...more], texts) {
      if (more.length > 0) return null
      if (action === 'rollback' && number !== undefined && /^\d{1,15}$/.test(number)) {
        return item('generation', String(await rollBack(client, Number(number))))
      }
      if (action !== 'list' || number !== undefined) return null
      const { active, generations } = await generationsOf(client, listed, Date.now())
      return rows(
        generations.map(({ createdAt, description, id, trigger }) =>
          item(
            String(id),
            `${excerpt(description || trigger, 80)} (${rowTime(createdAt)})${id === active ? ' \u2190' : ''}`,
          ),
        ),
        texts,
      )
    },
  },
  connector: {
    usage: '/connector [list | add <name> <command> | remove <name>]',
    does: 'lists, adds and removes connectors',
    async run({ client }, [action = 'list', name, ...command], texts, rest) {
      if (action === 'add' && name !== undefined && command.length > 0) {
        await addConnector(client, { name, command: rest.slice(name.length) })
      } else if (action === 'remove' && name !== undefined && command.length === 0) {
        await removeConnector(client, name)
      } else if (action !== 'list' || name !== undefined) return null
      return rows((await connectorsOf(client)).map(connectorItem), texts)
    },
  },
  reload: {
    usage: '/reload',
    does: 'connects the connectors anew',
    async run({ client }, words, texts) {
      if (words.length > 0) return null
      const enabled = (await connectorsOf(client)).filter((connector) => connector.enabled)
      for (let at = 0; at < enabled.length; at += startsAtOnce) {
        const some = enabled.slice(at, at + startsAtOnce)
        // Those that fail show why in the list.
        await Promise.allSettled(some.map(({ name }) => client.connectors.restart({ name })))
      }
      return rows((await connectorsOf(client)).map(connectorItem), texts)
    },
  },
  credential: {
    usage: '/credential [list | store <provider> <key> | delete <provider>]',
    does: 'lists, stores and deletes keys of model providers; none is ever shown',
    async run({ client }, [action = 'list', provider, key, ...more], texts) {
      if (more.length > 0) return null
      if (action === 'store' && provider !== undefined && key !== undefined) {
        await client.providerKeys.set({ provider, key })
      } else if (action === 'delete' && provider !== undefined && key === undefined) {
        await client.providerKeys.remove({ provider })
      } else if (action !== 'list' || provider !== undefined) return null
      return rows(
        (await client.providerKeys.list()).map((name) => item(name, '')),
        texts,
      )
    },
  },
  model: {
    usage: '/model',
    does: 'lists the models',
    async run({ agents, client }, [action = 'list', ...more], texts) {
      if (action !== 'list' || more.length > 0) return null
      const models = await modelsInUse(client, agents)
      return rows(
        models.map(({ contextTokens, id }) => item(id, `(${contextTokens} tokens)`)),
        texts,
      )
    },
  },
}

const connectorItem = ({ displayName, lastError, operationalState, toolCount }: Connector): string =>
  item(
    displayName,
    `(${operationalState}, ${toolCount} tools)${operationalState === 'failing' ? ` ${excerpt(lastError ?? '', 200)}` : ''}`,
  )

/** What the system has and this server does not. */
const absent: ReadonlySet<string> = new Set('bg demo inbox mount restart schedule workflow'.split(' '))

/** True for a message that is a command; a running workflow would take those that begin with `/run` as they are. */
export const isCommand = (message: string): boolean => message.startsWith('/') && !/^\/run\b/.test(message)

/** Its name, and what follows it as it was typed. */
function partsOf(message: string): readonly [name: string, rest: string] {
  const text = message.slice(1).trim()
  const [name = ''] = /^\S*/.exec(text) ?? []
  return [name.toLowerCase(), text.slice(name.length).trimStart()]
}

/** A command as it may be kept: a key that somebody has typed, under a name like that or nearly so, is for the vault alone. */
export function withoutSecret(message: string): string {
  const [name, rest] = partsOf(message)
  const [action, provider, ...secret] = rest.split(/\s+/)
  return name.startsWith('cred') && secret.length > 0 ? `/${name} ${action} ${provider} ***` : message
}

/** Does what a slash command asks for, and says what came of it. Nothing that it may not do is an error of the request. */
export async function runCommand(context: CommandContext): Promise<string> {
  const texts = textsIn(context.settings.user.language)
  const [name, rest] = partsOf(context.message)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    const text = absent.has(name) ? texts.commands.unavailable : texts.commands.unknown
    return fill(text, { command: excerpt(name, 40) })
  }
  const words = rest === '' ? [] : rest.split(/\s+/)
  try {
    const said = await command.run(context, words, texts, rest.slice(words[0]?.length ?? 0).trimStart())
    return said ?? fill(texts.commands.usage, { usage: command.usage })
  } catch (error) {
    if (!isKeelsonError(error) || error.kind === 'internal' || error.code.startsWith('STORE_')) throw error
    return fill(texts.commands.failed, { reason: error.message })
  }
}
