import type { JsonObject, Message, SessionStore, SpokenMessage } from '@keelson/core/stores'
import { isSpoken, storeErrors } from '@keelson/core/stores'
import type { Kysely } from 'kysely'
import {
  atLeastZero,
  jsonText,
  messageOf,
  messageRow,
  newSessionRow,
  reachKind,
  reachValues,
  sessionOf,
  toolCallOf,
  turnOf,
  windowValues,
} from './columns.ts'
import { type Engine, run } from './engine.ts'
import { createNameLock } from './name-lock.ts'
import type { Database, MessageTable, TurnTable } from './schema.ts'
import { turnSelectionOf } from './selection-rows.ts'
import { sessionStatements } from './session-statements.ts'

/** Somebody else keeps closing the session that was just found: no loop without end. */
const openAttempts = 8

function withEntries(metadata: JsonObject | null, entries: JsonObject): JsonObject | null {
  const merged = Object.entries({ ...metadata, ...entries }).filter(([, value]) => value !== null)
  return merged.length === 0 ? null : Object.fromEntries(merged)
}

type TurnColumn = 'agent' | 'status' | 'model' | 'usage' | 'user_message'

type SpokenRow = MessageTable & {
  readonly [Column in TurnColumn as `turn_${Column}`]: TurnTable[Column] | null
}

function spokenMessageOf(row: SpokenRow): SpokenMessage {
  const { turn_agent: agent, turn_status: status, turn_usage: usage, turn_user_message: userMessage } = row
  const message = messageOf(row)
  // All are null, or none is.
  if (agent === null || status === null || usage === null || userMessage === null) return { message, turn: null }
  return { message, turn: { agent, status, model: row.turn_model, usage: JSON.parse(usage), userMessage } }
}

export function createSessionStore(db: Kysely<Database>, engine: Engine): SessionStore {
  const sql = sessionStatements(db, engine.features)
  const nameLock = createNameLock(db, engine.features)

  return {
    async create(owner, session) {
      const row = newSessionRow(owner, session)
      const { scope } = session
      if (scope === null) {
        await engine.query(sql.insert, row)
      } else {
        await engine.transaction('write', function* () {
          yield* nameLock('scope', owner.tenant, owner.subject, session.agent, scope)
          yield* run(sql.archiveActive, { ...owner, agent: session.agent, scope, at: session.createdAt })
          yield* run(sql.insert, row)
        })
      }
      return sessionOf(row)
    },

    async createNamed(owner, session) {
      const row = newSessionRow(owner, session)
      return (await engine.query(sql.insertNamed, row)).length === 0 ? null : sessionOf(row)
    },

    async open(owner, session) {
      const key = { tenant: owner.tenant, subject: owner.subject, agent: session.agent, scope: session.scope }
      for (let attempt = 0; attempt < openAttempts; attempt += 1) {
        const [found] = await engine.query(sql.active, key)
        if (found !== undefined) return sessionOf(found)
        const [inserted] = await engine.query(sql.insertUnlessActive, newSessionRow(owner, session))
        if (inserted !== undefined) return sessionOf(inserted)
      }
      throw storeErrors.STORE_BUSY()
    },

    async get(reach, id) {
      const [row] = await engine.query(sql.get(reachKind(reach)), { ...reachValues(reach), id })
      return row === undefined ? null : sessionOf(row)
    },

    async list(reach, window, filter = {}) {
      const { agent, order = 'created', status } = filter
      const shape = `${reachKind(reach)} ${agent === undefined ? '' : 'agent'} ${status === undefined ? '' : 'status'} ${order}`
      const values = {
        ...reachValues(reach),
        ...windowValues(window),
        agent: agent ?? '',
        status: status ?? 'active',
      }
      // No index has this order: all that the tenant has are sorted.
      const sorts = order === 'activity' && reach.subject === null
      const rows = sorts ? engine.queryAside(sql.list(shape), values) : engine.query(sql.list(shape), values)
      return (await rows).map(sessionOf)
    },

    async update(reach, id, patch, at) {
      const { metadataEntries: entries } = patch
      const given = entries === undefined ? patch : { ...patch, metadata: entries }
      const fields = (['title', 'model', 'metadata', 'status'] as const).filter((field) => given[field] !== undefined)
      const change = sql.update([reachKind(reach), ...fields].join(' '))
      const values = {
        ...reachValues(reach),
        id,
        at,
        title: patch.title ?? null,
        model: patch.model ?? null,
        metadata: jsonText(patch.metadata),
        status: patch.status ?? 'active',
      }
      if (patch.status !== 'active' && entries === undefined) {
        const [row] = await engine.query(change, values)
        return row === undefined ? null : sessionOf(row)
      }
      return engine.transaction('write', function* () {
        const [found] = yield* run(sql.getToChange(reachKind(reach)), { ...reachValues(reach), id })
        if (found === undefined) return null
        const { tenant, subject, agent, scope } = found
        if (scope !== null && patch.status === 'active') {
          yield* run(sql.archiveActive, { tenant, subject, agent, scope, at })
        }
        const metadata =
          entries === undefined ? values.metadata : jsonText(withEntries(sessionOf(found).metadata, entries))
        const [row] = yield* run(change, { ...values, metadata })
        return row === undefined ? null : sessionOf(row)
      })
    },

    async messages(reach, session, { after, limit }) {
      const values = { ...reachValues(reach), session, after, limit: atLeastZero(limit) }
      return (await engine.query(sql.messages(reachKind(reach)), values)).map(messageOf)
    },

    async messagesWithTurns(reach, session, { after, limit }) {
      const values = { ...reachValues(reach), session, after, limit: atLeastZero(limit) }
      return (await engine.query(sql.messagesWithTurns(reachKind(reach)), values)).map(spokenMessageOf)
    },

    append(reach, session, message) {
      return engine.transaction<Message | null>('write', function* () {
        const spoken = isSpoken(message) ? 1 : 0
        const values = { ...reachValues(reach), id: session, at: message.createdAt, spoken }
        const [moved] = yield* run(sql.nextSequence(reachKind(reach)), values)
        if (moved === undefined) return null
        const row = messageRow(session, moved.last_sequence, message)
        yield* run(sql.insertMessage, row)
        return messageOf(row)
      })
    },

    async untitled(reach, limit) {
      const rows = await engine.query(sql.untitled(reachKind(reach)), {
        ...reachValues(reach),
        limit: atLeastZero(limit),
      })
      return rows.map(
        ({ owner_session: id, session, sequence, id: message, role, parts, created_at, turn, usage }) => ({
          id,
          firstMessage:
            session === null ||
            sequence === null ||
            message === null ||
            role === null ||
            parts === null ||
            created_at === null
              ? null
              : messageOf({ session, sequence, id: message, turn, role, parts, usage, created_at }),
        }),
      )
    },

    setTitles(reach, titles) {
      return engine.transaction('write', function* () {
        let count = 0
        for (const { id, title } of titles) {
          const rows = yield* run(sql.setTitle(reachKind(reach)), { ...reachValues(reach), id, title })
          count += rows.length
        }
        return count
      })
    },

    async turn(reach, id) {
      const [row] = await engine.query(sql.turn(reachKind(reach)), { ...reachValues(reach), id })
      return row === undefined ? null : turnOf(row)
    },

    async turns(reach, session, window) {
      const values = { ...reachValues(reach), ...windowValues(window), session }
      return (await engine.query(sql.turns(reachKind(reach)), values)).map(turnOf)
    },

    async selections(reach, window) {
      const values = { ...reachValues(reach), ...windowValues(window) }
      return (await engine.query(sql.selections(reachKind(reach)), values)).map(turnSelectionOf)
    },

    async turnLog(reach, id) {
      const [row] = await engine.query(sql.turnLog(reachKind(reach)), { ...reachValues(reach), id })
      return row?.log ?? null
    },

    async toolCalls(reach, turn) {
      return (await engine.query(sql.toolCalls(reachKind(reach)), { ...reachValues(reach), turn })).map(toolCallOf)
    },
  }
}
