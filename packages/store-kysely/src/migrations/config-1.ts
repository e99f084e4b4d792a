import type { Migration } from './migration.ts'

export const config1: Migration = {
  capability: 'config',
  number: 1,
  statements: ({ text, integer, table, clusteredTable }) => [
    `create table config_state (
      id ${integer} not null primary key check (id = 1),
      revision ${integer} not null
    )${table}`,
    'insert into config_state (id, revision) values (1, 0)',
    `create table config_heads (
      tenant ${text} not null primary key,
      active ${integer} not null,
      latest ${integer} not null,
      revision ${integer} not null
    )${clusteredTable}`,
    'create index config_heads_by_revision on config_heads (revision)',
    `create table config_generations (
      tenant ${text} not null,
      number ${integer} not null,
      parent ${integer} not null,
      author ${text} not null,
      description ${text} not null,
      made_by ${text} not null,
      content_hash ${text} not null,
      code_hash ${text} not null,
      pinned ${integer} not null,
      left_at ${integer},
      created_at ${integer} not null,
      primary key (tenant, number)
    )${clusteredTable}`,
    'create index config_generations_of_content on config_generations (tenant, content_hash, number)',
    'create index config_generations_of_code on config_generations (tenant, code_hash)',
    `create table config_contents (
      tenant ${text} not null,
      hash ${text} not null,
      format ${integer} not null,
      content ${text} not null,
      primary key (tenant, hash)
    )${table}`,
    `create table config_codes (
      tenant ${text} not null,
      hash ${text} not null,
      definitions ${text} not null,
      created_at ${integer} not null,
      primary key (tenant, hash)
    )${table}`,
    // Only turns of those who use generations are in it.
    `create index turns_on_generation on turns (tenant, generation)
      where generation > 0 and status in ('queued', 'running', 'waiting', 'interrupted')`,
    `alter table tool_calls add column tool_hash ${text}`,
    `alter table approvals add column tool_hash ${text}`,
  ],
}
