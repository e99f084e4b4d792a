import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { CallContext } from '../../kernel/context.ts'
import type { VaultWrite } from '../vault/index.ts'
import { codeLayerOf } from './code-layer.ts'
import { checkPatch, differences, encoded, patched } from './content.ts'
import {
  type ChangeNote,
  type ConfigChanged,
  type ConfigPatch,
  configErrors,
  type configOperations,
} from './contract.ts'
import { createPointers } from './pointers.ts'
import { createRecords } from './records.ts'
import type { ConfigContent, ConfigReader, ConfigSection } from './section.ts'
import { createSnapshots } from './snapshots.ts'
import type { CodeLayer, ConfigHead, ConfigStore } from './store.ts'
import { invalid, problemsOf } from './validation.ts'

/** How often a change is applied anew to what others have made active meanwhile. */
const mostTries = 8
const longestText = 1_000
const largestPage = 1_000
/** Generations between two looks for some that may go, and how many go at once. */
const pruneEvery = 16
const pruneBatch = 500
/** Longer than any instance needs to hear that the pointer has moved. */
const leftLongAgoMs = 600_000

export interface ConfigDependencies {
  readonly store: ConfigStore
  readonly sections: readonly ConfigSection[]
  readonly clock: Clock
  /** How many of the newest generations stay. */
  readonly keep: number
  /** Told of each tenant for which another generation became active, here or elsewhere. Must not throw. */
  activated(tenant: string): void
  report(error: unknown, where: string): void
}

/** A change together with the secrets that belong to it. */
export interface ConfigEdit {
  readonly patch: ConfigPatch
  readonly secrets: readonly VaultWrite[]
}

export interface Config extends Implementation<typeof configOperations> {
  readonly reader: ConfigReader
  /**
   * Changes the active content by what `make` makes of it, and writes the secrets in the same transaction: there is no
   * moment at which one is there without the other. `make` is asked again for what others make active meanwhile, and
   * rejects the change by throwing.
   */
  edit(context: CallContext, wanted: ChangeNote, make: (content: ConfigContent) => ConfigEdit): Promise<ConfigChanged>
  /** The generation that was active when this process first saw the tenant. */
  firstOf(tenant: string): number | Promise<number>
  /** Reads the pointers; where there are any, notes this code layer. One query where nobody has a configuration. */
  start(): Promise<void>
  /** Told where a tenant's pointer was moved to elsewhere. */
  moved(head: ConfigHead): void
  /** Looks for what has moved. One query. */
  sweep(): Promise<void>
}

export function createConfig({ store, sections, clock, keep, activated, report }: ConfigDependencies): Config {
  const names = new Set(sections.map(({ name }) => name))
  if (names.size !== sections.length) throw new Error('two sections of the configuration have one name')
  const pointers = createPointers(store, activated)
  const snapshots = createSnapshots(store, pointers, names, (tenant, content) => {
    problemsOf(sections, tenant, content).then(
      (problems) => {
        if (problems.length > 0) report(invalid(problems), 'config')
      },
      (error) => report(error, 'config'),
    )
  })
  let layer: CodeLayer | undefined
  /** Hashed when it is needed, which for many a runtime is never. */
  const code = (): CodeLayer => {
    layer ??= codeLayerOf(sections)
    return layer
  }
  const records = createRecords(store, code)

  /** The pointer as the database has it: what is in memory may be a moment old. */
  async function baseOf(tenant: string, expected: number | undefined): Promise<number> {
    const head = await store.head(tenant)
    if (head) pointers.moved(head)
    const active = head?.active ?? 0
    if (expected !== undefined && expected !== active) throw conflict(expected, active)
    return active
  }

  const conflict = (expected: number, active: number) =>
    configErrors.CONFIG_CONFLICT({
      message: `generation ${active} is active, not ${expected}; read it and repeat the change`,
      details: { expected, active },
    })

  /** Repeats what lost a race, unless the caller said what it expects. */
  async function persist(
    tenant: string,
    expected: number | undefined,
    attempt: (base: number) => Promise<ConfigChanged | { readonly active: number }>,
  ): Promise<ConfigChanged> {
    for (let tries = 1; ; tries += 1) {
      const base = await baseOf(tenant, expected)
      const result = await attempt(base)
      if ('generation' in result) return result
      if (expected !== undefined || tries === mostTries) throw conflict(base, result.active)
    }
  }

  async function validate(tenant: string, content: ConfigContent): Promise<void> {
    const problems = await problemsOf(sections, tenant, content)
    if (problems.length > 0) throw invalid(problems)
  }

  const changed = async (
    tenant: string,
    outcome: ConfigChanged['outcome'],
    number: number,
    origin = number,
  ): Promise<ConfigChanged> => {
    const generation = await records.find(tenant, number)
    const source = origin === number ? generation : await records.find(tenant, origin)
    return { outcome, generation, drift: await records.driftOf(tenant, source) }
  }

  /** Stores a content on top of `base` and makes it active. `origin` is where the content comes from. */
  async function add(
    { principal }: CallContext,
    content: ConfigContent,
    base: number,
    wanted: ChangeNote & {
      readonly activate: boolean
      readonly origin?: number
      readonly secrets?: readonly VaultWrite[]
    },
  ): Promise<ConfigChanged | { readonly active: number }> {
    const { tenant } = principal
    const { activate, origin, secrets = [] } = wanted
    const added = await store.add(tenant, {
      generation: {
        author: shortened(wanted.author ?? principal.subject),
        description: shortened(wanted.description ?? ''),
        trigger: shortened(wanted.trigger ?? 'change'),
        content: encoded(content),
        createdAt: clock.now(),
      },
      code: code(),
      empty: Object.keys(content).length === 0,
      base,
      numbering: activate ? (wanted.numbering ?? 'append') : 'append',
      activate,
      secrets,
    })
    if (added.outcome === 'conflict') return added
    pointers.moved(added.head)
    if (added.outcome === 'created' && added.number % pruneEvery === 0) await prune(tenant)
    return await changed(tenant, activate ? added.outcome : 'staged', added.number, origin)
  }

  async function prune(tenant: string): Promise<void> {
    const retention = { keep, leftBefore: clock.now() - leftLongAgoMs, limit: pruneBatch }
    await store.prune(tenant, retention).catch((error) => report(error, 'config'))
  }

  function checkSections(patch: ConfigPatch): void {
    const unknown = Object.keys(patch).find((name) => !names.has(name))
    if (unknown === undefined) return
    throw configErrors.CONFIG_SECTION_UNKNOWN({
      message: `no capability of this runtime has the section ${JSON.stringify(unknown)}; there are: ${[...names].join(', ')}`,
      details: { section: unknown, sections: [...names] },
    })
  }

  async function edit(
    context: CallContext,
    { activate: activates = true, ...wanted }: ChangeNote & { readonly activate?: boolean },
    make: (content: ConfigContent) => ConfigEdit,
  ): Promise<ConfigChanged> {
    const { tenant } = context.principal
    return await persist(tenant, wanted.expected, async (base) => {
      const before = await snapshots.at(tenant, base)
      const { patch, secrets } = make(before)
      const next = patched(before, patch)
      if (differences(before, next).length === 0) {
        const put = secrets.length === 0 ? null : await store.putSecrets(tenant, { secrets, base, at: clock.now() })
        return put?.outcome === 'conflict' ? put : await changed(tenant, 'unchanged', base)
      }
      if (activates) await validate(tenant, next)
      return await add(context, next, base, { ...wanted, secrets, activate: activates })
    })
  }

  async function activate(tenant: string, number: number, expected: number | undefined): Promise<ConfigChanged> {
    return await persist(tenant, expected, async (base) => {
      const content = await snapshots.at(tenant, number)
      await validate(tenant, content)
      if (number === base) return await changed(tenant, 'unchanged', number)
      const moved = await store.activate(tenant, number, base, clock.now())
      if (moved.outcome === 'missing') throw configErrors.GENERATION_NOT_FOUND({ details: { number } })
      if (moved.outcome === 'conflict') return moved
      pointers.moved(moved.head)
      return await changed(tenant, 'reactivated', number)
    })
  }

  async function contentOf(tenant: string, number: number, active: number) {
    const [generation, content] = await Promise.all([records.find(tenant, number), snapshots.at(tenant, number)])
    return { ...generation, active: number === active, content }
  }

  return {
    reader: snapshots,

    async firstOf(tenant) {
      return (await pointers.of(tenant)).first
    },

    async change(context, { patch, ...wanted }) {
      const made = { patch: checkPatch(patch), secrets: [] }
      checkSections(made.patch)
      return await edit(context, wanted, () => made)
    },

    edit: (context, wanted, make) =>
      edit(context, wanted, (content) => {
        const { patch, secrets } = make(content)
        return { patch: checkPatch(patch), secrets }
      }),

    activate: ({ principal }, { generation, expected }) => activate(principal.tenant, generation, expected),

    async rollback(context, { generation, numbering = 'append', ...wanted }) {
      const { tenant } = context.principal
      if (numbering === 'reuse') return await activate(tenant, generation, wanted.expected)
      return await persist(tenant, wanted.expected, async (base) => {
        const content = await snapshots.at(tenant, generation)
        await validate(tenant, content)
        const text = { description: `back to generation ${generation}`, trigger: 'rollback' }
        return await add(context, content, base, { ...text, ...wanted, activate: true, origin: generation })
      })
    },

    async active({ principal: { tenant } }) {
      const active = await baseOf(tenant, undefined)
      return await contentOf(tenant, active, active)
    },

    async get({ principal: { tenant } }, { generation }) {
      return await contentOf(tenant, generation, (await pointers.of(tenant)).active)
    },

    async list({ principal: { tenant } }, input) {
      const { limit = 50, before } = input ?? {}
      const range = { limit: Math.min(limit, largestPage), ...(before === undefined ? {} : { before }) }
      const [generations, head] = await Promise.all([store.list(tenant, range), store.head(tenant)])
      return { active: head?.active ?? 0, generations }
    },

    async diff({ principal: { tenant } }, { from, to }) {
      const [before, after] = await Promise.all([snapshots.at(tenant, from), snapshots.at(tenant, to)])
      return differences(before, after)
    },

    pin: async ({ principal }, { generation }) => await records.pin(principal.tenant, generation, true),
    unpin: async ({ principal }, { generation }) => await records.pin(principal.tenant, generation, false),

    async check({ principal: { tenant } }, { patch: given }) {
      const patch = checkPatch(given)
      checkSections(patch)
      const { content } = await snapshots.active(tenant)
      return await problemsOf(sections, tenant, patched(content, patch))
    },

    async start() {
      await pointers.load()
      if (pointers.none) return
      const made = { author: 'system', description: 'the code has changed', trigger: 'deploy', createdAt: clock.now() }
      if ((await store.deploy(code(), made)) > 0) await pointers.follow()
    },

    moved(head) {
      pointers.moved(head)
      snapshots.refresh(head.tenant).catch((error) => report(error, 'config'))
    },

    sweep: () => pointers.follow(),
  }
}

const shortened = (text: string): string => text.toWellFormed().replaceAll('\0', '').slice(0, longestText)
