import type { Migration } from './migration.ts'

/** Messages are counted as they are written: a list of sessions that shows how many there are reads none of them. */
export const sessions2: Migration = {
  capability: 'sessions',
  number: 2,
  statements: ({ integer }) => [
    `alter table sessions add column message_count ${integer} not null default 0`,
    `update sessions set message_count = (
      select count(*) from messages where messages.session = sessions.id
        and (messages.role = 'user' or (messages.role = 'assistant' and messages.parts not like '%"type":"tool-call"%'))
    )`,
  ],
}
