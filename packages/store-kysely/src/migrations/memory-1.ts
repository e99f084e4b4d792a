import type { Migration } from './migration.ts'

export const memory1: Migration = {
  capability: 'memory',
  number: 1,
  statements: ({ text, integer, table, fullText }) => [
    `create table note_owners (
      serial ${integer} not null primary key,
      tenant ${text} not null,
      subject ${text} not null,
      last_note ${integer} not null
    )${table}`,
    'create unique index note_owners_key on note_owners (tenant, subject)',
    `create table notes (
      number ${integer} not null primary key,
      id ${text} not null unique,
      tenant ${text} not null,
      subject ${text} not null,
      path ${text} not null,
      base_path ${text} not null,
      path_number ${integer} not null,
      title ${text} not null,
      type ${text} not null,
      status ${text} not null,
      tags ${text} not null,
      priority ${integer} not null,
      due ${text},
      parent_path ${text},
      reminder ${integer} not null,
      created_at ${integer} not null,
      updated_at ${integer} not null,
      search_text ${text} not null,
      content ${text} not null
    )${table}`,
    'create unique index notes_of_path on notes (tenant, subject, path)',
    'create unique index notes_numbered on notes (tenant, subject, base_path, path_number)',
    'create index notes_of_subject on notes (tenant, subject, updated_at desc, created_at desc, id desc)',
    'create index notes_of_tenant on notes (tenant, updated_at desc, created_at desc, id desc)',
    'create index notes_of_parent on notes (tenant, subject, parent_path)',
    "create index notes_topics on notes (tenant, title, id) where type = 'topic' and status <> 'archived'",
    ...fullText.create('note_words'),
  ],
}
