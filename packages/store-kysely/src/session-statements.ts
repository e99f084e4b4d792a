import type { SessionStatus, Window } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import {
  allSessionColumns,
  messageColumns,
  type ReachKind,
  type ReachValues,
  sessionColumns,
  toolCallColumns,
  turnColumns,
  within,
} from './columns.ts'
import type { Features } from './engine.ts'
import type { Database, MessageTable, SessionTable } from './schema.ts'
import { selectionColumns } from './selection-rows.ts'
import { columnsOf, type Parameters, remembered, statement } from './statement.ts'

/** Characters of a message's JSON that its beginning is taken from. */
const excerptLength = 4_000

interface ScopeValues {
  tenant: string
  subject: string
  agent: string
  scope: string
}

interface ListValues extends ReachValues, Window {
  agent: string
  status: SessionStatus
}

interface RangeValues extends ReachValues {
  session: string
  after: number
  limit: number
}

interface UpdateValues extends ReachValues {
  id: string
  at: number
  title: string | null
  model: string | null
  metadata: string | null
  status: SessionStatus
}

/** The statements of the session store. Those that depend on the caller's reach or on what is given are made per shape. */
export function sessionStatements(db: Kysely<Database>, { rowLocks }: Features) {
  const insertSession = (parameter: Parameters<SessionTable>) =>
    db.insertInto('sessions').values(columnsOf(parameter, allSessionColumns))

  const get = (kind: ReachKind, parameter: Parameters<ReachValues & { id: string }>) =>
    db
      .selectFrom('sessions')
      .select(sessionColumns)
      .where('id', '=', parameter('id'))
      .where(within('sessions', kind, parameter))

  const messagesAfter = (kind: ReachKind, parameter: Parameters<RangeValues>) =>
    db
      .selectFrom('messages')
      .innerJoin('sessions', 'sessions.id', 'messages.session')
      .select(messageColumns.map((column) => `messages.${column}` as const))
      .where('messages.session', '=', parameter('session'))
      .where(within('sessions', kind, parameter))
      .where('messages.sequence', '>', parameter('after'))
      .orderBy('messages.sequence')
      .limit(parameter('limit'))

  return {
    insert: statement((parameter: Parameters<SessionTable>) => insertSession(parameter)),

    insertUnlessActive: statement((parameter: Parameters<SessionTable>) =>
      insertSession(parameter)
        .onConflict((conflict) =>
          conflict
            .columns(['tenant', 'subject', 'agent', 'scope'])
            .where('status', '=', sql.lit('active'))
            .where('scope', 'is not', null)
            .doNothing(),
        )
        .returning(sessionColumns),
    ),

    insertNamed: statement((parameter: Parameters<SessionTable>) =>
      insertSession(parameter)
        .onConflict((conflict) => conflict.column('id').doNothing())
        .returning('id'),
    ),

    active: statement((parameter: Parameters<ScopeValues>) =>
      db
        .selectFrom('sessions')
        .select(sessionColumns)
        .where('tenant', '=', parameter('tenant'))
        .where('subject', '=', parameter('subject'))
        .where('agent', '=', parameter('agent'))
        .where('scope', '=', parameter('scope'))
        .where('status', '=', sql.lit('active')),
    ),

    archiveActive: statement((parameter: Parameters<ScopeValues & { at: number }>) =>
      db
        .updateTable('sessions')
        .set({ status: 'archived', updated_at: parameter('at') })
        .where('tenant', '=', parameter('tenant'))
        .where('subject', '=', parameter('subject'))
        .where('agent', '=', parameter('agent'))
        .where('scope', '=', parameter('scope'))
        .where('status', '=', sql.lit('active')),
    ),

    get: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { id: string }>) => get(kind, parameter)),
    ),

    getToChange: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { id: string }>) =>
        rowLocks ? get(kind, parameter).forUpdate() : get(kind, parameter),
      ),
    ),

    /** `shape` is the kind of reach, the filters given and the order, parted by spaces. */
    list: remembered((shape: string) => {
      const parts = shape.split(' ')
      const kind = parts.includes('tenant') ? 'tenant' : 'own'
      return statement((parameter: Parameters<ListValues>) => {
        let query = db
          .selectFrom('sessions')
          .select(sessionColumns)
          .where(within('sessions', kind, parameter))
        if (parts.includes('agent')) query = query.where('agent', '=', parameter('agent'))
        if (parts.includes('status')) query = query.where('status', '=', parameter('status'))
        const newest = parts.includes('activity') ? 'updated_at' : 'created_at'
        return query.orderBy(newest, 'desc').orderBy('id').limit(parameter('limit')).offset(parameter('offset'))
      })
    }),

    /** `shape` is the kind of reach and the fields to set, parted by spaces. */
    update: remembered((shape: string) => {
      const parts = shape.split(' ')
      const kind = parts.includes('tenant') ? 'tenant' : 'own'
      const fields = (['title', 'model', 'metadata', 'status'] as const).filter((field) => parts.includes(field))
      return statement((parameter: Parameters<UpdateValues>) =>
        db
          .updateTable('sessions')
          .set({ ...columnsOf(parameter, fields), updated_at: parameter('at') })
          .where('id', '=', parameter('id'))
          .where(within('sessions', kind, parameter))
          .returning(sessionColumns),
      )
    }),

    messages: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<RangeValues>) => messagesAfter(kind, parameter)),
    ),

    messagesWithTurns: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<RangeValues>) =>
        messagesAfter(kind, parameter)
          .leftJoin('turns', 'turns.id', 'messages.turn')
          .select([
            'turns.agent as turn_agent',
            'turns.status as turn_status',
            'turns.model as turn_model',
            'turns.usage as turn_usage',
            'turns.user_message as turn_user_message',
          ]),
      ),
    ),

    nextSequence: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { id: string; at: number; spoken: number }>) =>
        db
          .updateTable('sessions')
          .set((row) => ({
            last_sequence: row('last_sequence', '+', 1),
            message_count: row('message_count', '+', parameter('spoken')),
            updated_at: parameter('at'),
          }))
          .where('id', '=', parameter('id'))
          .where(within('sessions', kind, parameter))
          .returning('last_sequence'),
      ),
    ),

    insertMessage: statement((parameter: Parameters<MessageTable>) =>
      db.insertInto('messages').values(columnsOf(parameter, messageColumns)),
    ),

    untitled: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { limit: number }>) =>
        db
          .selectFrom(
            db
              .selectFrom('sessions')
              .select(['id as owner_session', 'created_at as owner_created_at'])
              .where('title', 'is', null)
              .where(within('sessions', kind, parameter))
              .orderBy('created_at')
              .orderBy('id')
              .limit(parameter('limit'))
              .as('owner'),
          )
          .leftJoin('messages', (join) =>
            join
              .onRef('messages.session', '=', 'owner.owner_session')
              .on('messages.sequence', '=', (row) =>
                row
                  .selectFrom('messages as earlier')
                  .select('earlier.sequence')
                  .whereRef('earlier.session', '=', 'owner.owner_session')
                  .where('earlier.role', '=', sql.lit('user'))
                  .orderBy('earlier.sequence')
                  .limit(sql.lit(1)),
              ),
          )
          .select('owner.owner_session')
          .select(messageColumns.map((column) => `messages.${column}` as const))
          .orderBy('owner.owner_created_at')
          .orderBy('owner.owner_session'),
      ),
    ),

    setTitle: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { id: string; title: string }>) =>
        db
          .updateTable('sessions')
          .set({ title: parameter('title') })
          .where('id', '=', parameter('id'))
          .where('title', 'is', null)
          .where(within('sessions', kind, parameter))
          .returning('id'),
      ),
    ),

    turn: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { id: string }>) =>
        db
          .selectFrom('turns')
          .select(turnColumns)
          .where('id', '=', parameter('id'))
          .where(within('turns', kind, parameter)),
      ),
    ),

    turns: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & Window & { session: string }>) =>
        db
          .selectFrom('turns')
          .select(turnColumns)
          .where('session', '=', parameter('session'))
          .where(within('turns', kind, parameter))
          .orderBy('sequence')
          .limit(parameter('limit'))
          .offset(parameter('offset')),
      ),
    ),

    selections: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & Window>) =>
        db
          .selectFrom('turns')
          .select(selectionColumns)
          .select(sql<string>`substr(${sql.ref('turns.input')}, 1, ${sql.lit(excerptLength)})`.as('excerpt'))
          .where(within('turns', kind, parameter))
          .orderBy('created_at', 'desc')
          .orderBy('id')
          .limit(parameter('limit'))
          .offset(parameter('offset')),
      ),
    ),

    turnLog: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { id: string }>) =>
        db
          .selectFrom('turns')
          .select('log')
          .where('id', '=', parameter('id'))
          .where(within('turns', kind, parameter)),
      ),
    ),

    toolCalls: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { turn: string }>) =>
        db
          .selectFrom('tool_calls')
          .innerJoin('turns', 'turns.id', 'tool_calls.turn')
          .select(toolCallColumns.map((column) => `tool_calls.${column}` as const))
          .where('tool_calls.turn', '=', parameter('turn'))
          .where(within('turns', kind, parameter))
          .orderBy('tool_calls.step')
          .orderBy('tool_calls.position'),
      ),
    ),
  }
}
