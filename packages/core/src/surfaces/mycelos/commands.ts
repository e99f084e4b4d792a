import type { Agent } from '../../capabilities/agents/index.ts'
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

/** What follows the command, split at white space. */
type Words = readonly string[]

interface Command {
  readonly usage: string
  readonly does: string
  /** Markdown. */
  run(context: CommandContext, words: Words, texts: Texts): string | Promise<string>
}

const listed = 20

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
    async run({ client, session: here }, _words, texts) {
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
    async run({ agents, client, standard }, [id = 'list'], texts) {
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
    usage: '/memory [words]',
    does: 'lists the notes that were edited last, or searches them',
    async run({ client }, words, texts) {
      const query = words.join(' ')
      const notes = await (query === ''
        ? client.notes.list({ limit: listed, offset: 0 })
        : client.notes.search({ query, limit: listed }))
      return rows(
        notes.map(({ path, title }) => item(excerpt(title, 80), `(\`${path}\`)`)),
        texts,
      )
    },
  },
  cost: {
    usage: '/cost [today | week | month | all]',
    does: 'shows what model calls cost',
    async run({ client }, [period = 'today'], texts) {
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
    async run({ client }, [action = 'list', number = ''], texts) {
      if (action === 'rollback') {
        return item('generation', String(await rollBack(client, /^\d+$/.test(number) ? Number(number) : Number.NaN)))
      }
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
    async run({ client }, [action = 'list', name = '', ...command], texts) {
      if (action === 'add') await addConnector(client, { name, command: command.join(' ') })
      if (action === 'remove') await removeConnector(client, name)
      const connectors = await connectorsOf(client)
      return rows(
        connectors.map((each) => item(each.displayName, `(${each.operationalState}, ${each.toolCount} tools)`)),
        texts,
      )
    },
  },
  model: {
    usage: '/model',
    does: 'lists the models',
    async run({ agents, client }, _words, texts) {
      const models = await modelsInUse(client, agents)
      return rows(
        models.map(({ contextTokens, id }) => item(id, `(${contextTokens} tokens)`)),
        texts,
      )
    },
  },
}

/** What the system has and this server does not. */
const absent: ReadonlySet<string> = new Set(
  'bg credential demo inbox mount reload restart schedule workflow'.split(' '),
)

/** Does what a slash command asks for, and says what came of it. Nothing that it may not do is an error of the request. */
export async function runCommand(context: CommandContext): Promise<string> {
  const texts = textsIn(context.settings.user.language)
  const [name = '', ...words] = context.message.slice(1).trim().split(/\s+/)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    const text = absent.has(name) ? texts.commands.unavailable : texts.commands.unknown
    return fill(text, { command: excerpt(name, 40) })
  }
  try {
    return await command.run(context, words, texts)
  } catch (error) {
    if (!isKeelsonError(error) || error.kind === 'internal' || error.code.startsWith('STORE_')) throw error
    return fill(texts.commands.failed, { reason: error.message })
  }
}
