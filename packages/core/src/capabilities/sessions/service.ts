import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { ownerOf, reachOf } from '../../kernel/context.ts'
import type { NewId } from '../../kernel/ids.ts'
import { paged } from '../../kernel/pages.ts'
import { sessionErrors, type sessionOperations } from './contract.ts'
import { checkName, longestSessionId, newSession } from './new-session.ts'
import { isSpoken, textOf } from './session.ts'
import type { SessionStore } from './store.ts'
import type { SpokenMessage } from './turn.ts'

/** Titles are made this many at a time, so that a large backlog is neither held in memory nor one long transaction. */
const backfillBatch = 200
const longestTitle = 512

export interface SessionsDependencies {
  readonly store: SessionStore
  readonly clock: Clock
  readonly newId: NewId
}

export function createSessions({
  store,
  clock,
  newId,
}: SessionsDependencies): Implementation<typeof sessionOperations> {
  const checkTitle = (title: string | null | undefined): void => {
    if (title != null && (title.length > longestTitle || title.includes('\0'))) {
      throw sessionErrors.SESSION_INVALID({ message: `title must have at most ${longestTitle} characters` })
    }
  }
  return {
    async create({ principal }, { id, agent, scope = null, title = null, metadata = null }) {
      checkTitle(title)
      if (id !== undefined) {
        const named = { ...newSession(agent, clock, newId), id: checkName(id, 'id', longestSessionId), title, metadata }
        const made = await store.createNamed(ownerOf(principal), named)
        const there = made ?? (await store.get(reachOf(principal), id))
        if (!there) throw sessionErrors.SESSION_EXISTS()
        return there
      }
      if (scope !== null) checkName(scope, 'scope')
      return await store.create(ownerOf(principal), { ...newSession(agent, clock, newId), scope, title, metadata })
    },

    open: ({ principal }, { agent, scope }) =>
      store.open(ownerOf(principal), { ...newSession(agent, clock, newId), scope: checkName(scope, 'scope') }),

    async get({ principal }, { id }) {
      const session = await store.get(reachOf(principal), id)
      if (!session) throw sessionErrors.SESSION_NOT_FOUND()
      return session
    },

    list({ principal }, input) {
      const { window, filter } = paged(input)
      return store.list(reachOf(principal), window, filter)
    },

    async update({ principal }, { id, ...patch }) {
      checkTitle(patch.title)
      const session = await store.update(reachOf(principal), id, patch, clock.now())
      if (!session) throw sessionErrors.SESSION_NOT_FOUND()
      return session
    },

    messages: ({ principal }, { session, after = 0, limit = 50 }) =>
      store.messages(reachOf(principal), session, { after, limit }),

    async spoken({ principal }, { session, after = 0, limit = 50 }) {
      // One more than is wanted tells whether there is a next piece.
      const read = await store.messagesWithTurns(reachOf(principal), session, { after, limit: limit + 1 })
      const page = read.slice(0, limit)
      const next = read.length > limit ? page.at(-1)?.message.sequence : undefined
      return { messages: page.filter(isShown), next: next ?? null }
    },

    async append({ principal }, { session, role, parts }) {
      const message = await store.append(reachOf(principal), session, {
        id: newId(),
        turn: null,
        role,
        parts,
        usage: null,
        createdAt: clock.now(),
      })
      if (!message) throw sessionErrors.SESSION_NOT_FOUND()
      return message
    },

    async nameUntitled({ principal }, { id, title }) {
      checkTitle(title)
      return (await store.setTitles(reachOf(principal), [{ id, title }])) === 1
    },

    async backfillTitles({ principal, signal }, { titleOf }) {
      const reach = reachOf(principal)
      let total = 0
      for (;;) {
        const untitled = await store.untitled(reach, backfillBatch)
        const titles: { id: string; title: string }[] = []
        for (const { id, firstMessage } of untitled) {
          signal?.throwIfAborted()
          titles.push({ id, title: await titleOf(firstMessage && textOf(firstMessage.parts)) })
        }
        const set = titles.length === 0 ? 0 : await store.setTitles(reach, titles)
        total += set
        if (untitled.length < backfillBatch || set === 0) return total
      }
    },

    async turn({ principal }, { id }) {
      const turn = await store.turn(reachOf(principal), id)
      if (!turn) throw sessionErrors.TURN_NOT_FOUND()
      return turn
    },

    turns: ({ principal }, { session, ...page }) => store.turns(reachOf(principal), session, paged(page).window),

    toolCalls: ({ principal }, { turn }) => store.toolCalls(reachOf(principal), turn),
  }
}

/** What a turn tells its model in the user's place nobody has said. */
const isShown = ({ message, turn }: SpokenMessage): boolean =>
  isSpoken(message) && (message.role !== 'user' || turn === null || turn.userMessage === message.id)
