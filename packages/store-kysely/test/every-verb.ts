import type { Store } from '@keelson/core/stores'
import {
  accepting,
  answering,
  approval,
  breaker,
  messageNamed,
  noteNamed,
  owner,
  paid,
  sessionNamed,
  setAside,
  startTurn,
  toolCall,
} from './rows.ts'

const window = { limit: 10, offset: 0 }
const reaches = [owner, { tenant: owner.tenant, subject: null }]

/** Calls every verb of every port, those with filters in their shapes, so that each statement there is has been run. */
export async function everyVerb(store: Store): Promise<void> {
  await store.sessions.create(owner, sessionNamed('s'))
  for (const reach of reaches) {
    const suffix = String(reach.subject)
    await ofSessions(store, reach, suffix)
    await ofApprovals(store, reach)
    await ofCosts(store, reach)
    await ofNotes(store, reach, suffix)
    await store.loop.cancel(reach, 'unknown', 'one', 1)
    await store.loop.waiting(reach, 's')
  }
  await store.memory.recallNotes(owner, [{ word: 'keel', prefix: false }], { limit: 5, characters: 100 })
  await ofBreakers(store)
  await ofTurns(store)
  await ofGenerations(store)
  await ofVault(store)
  await ofConnectors(store)
}

type Reach = (typeof reaches)[number]

async function ofSessions({ sessions }: Store, reach: Reach, suffix: string): Promise<void> {
  await sessions.create(owner, sessionNamed(`scoped ${suffix}`, { scope: 'main' }))
  await sessions.createNamed(owner, { ...sessionNamed(`named ${suffix}`), scope: null })
  await sessions.open(owner, { ...sessionNamed(`opened ${suffix}`), scope: 'side' })
  await sessions.get(reach, 's')
  for (const filter of [{}, { agent: 'a' }, { status: 'active' }, { agent: 'a', status: 'active' }] as const) {
    await sessions.list(reach, window, filter)
    await sessions.list(reach, window, { ...filter, order: 'activity' })
  }
  await sessions.update(reach, 's', { title: null, model: null, metadata: null }, 1)
  await sessions.update(reach, 's', { metadataEntries: { key: 'value' } }, 1)
  await sessions.update(reach, `opened ${suffix}`, { status: 'active' }, 1)
  await sessions.messages(reach, 's', { after: 0, limit: 10 })
  await sessions.messagesWithTurns(reach, 's', { after: 0, limit: 10 })
  await sessions.append(reach, 's', messageNamed(`appended ${suffix}`))
  await sessions.untitled(reach, 10)
  await sessions.setTitles(reach, [{ id: 's', title: 'Title' }])
  await sessions.turn(reach, 't')
  await sessions.turns(reach, 's', window)
  await sessions.selections(reach, window)
  await sessions.turnLog(reach, 't')
  await sessions.toolCalls(reach, 't')
}

async function ofApprovals({ approvals }: Store, reach: Reach): Promise<void> {
  await approvals.get(reach, 'a')
  for (const filter of [{}, { status: 'pending' }, { turn: 't' }, { status: 'pending', turn: 't' }] as const) {
    await approvals.list(reach, window, filter)
    await approvals.count(reach, filter)
  }
  await approvals.decide(reach, 'a', { status: 'approved', decidedBy: 'ada', at: 1 })
}

async function ofCosts({ costs }: Store, reach: Reach): Promise<void> {
  const filters = [{}, { turn: 't' }, { session: 's' }, { agent: 'a' }, { model: 'm' }, { turn: 't', agent: 'a' }]
  for (const filter of filters) await costs.entries(reach, window, filter)
  for (const groupBy of [[], ['hour'], ['day'], ['subject'], ['agent', 'model'], ['day', 'model']] as const) {
    await costs.report(reach, { from: 0, to: 1e9, groupBy, limit: 10 })
  }
  await costs.budgets(reach, 1, 10)
}

async function ofNotes({ memory }: Store, reach: Reach, suffix: string): Promise<void> {
  await memory.createNote(owner, noteNamed(`note ${suffix}`))
  await memory.note(reach, { id: 'unknown' })
  await memory.note(reach, { path: 'unknown' })
  await memory.updateNote(reach, `note ${suffix}`, { title: 'Keel' }, 2)
  for (const filter of [{}, { type: 'note' }, { status: 'active' }, { parentPath: 'notes' }]) {
    await memory.notes(reach, window, filter)
    await memory.notesContaining(reach, 'keel', window, filter)
    await memory.searchNotes(reach, [{ word: 'keel', prefix: true }], window, filter)
  }
  await memory.topics(reach, window)
}

async function ofBreakers({ breakers }: Store): Promise<void> {
  await breakers.list('', 10)
  for (const version of [1, 2]) await breakers.swap(breaker(version))
}

/** A turn that is asked for, waits, is resumed and fails, with others behind it that are cancelled or taken over. */
async function ofTurns(store: Store): Promise<void> {
  const { approvals, costs, loop } = store
  const outside = setAside('outside', null)
  await costs.reserve(owner, outside, 'one', 1)
  await costs.charge(owner, { at: 1, ledger: [paid('outside')], settlements: [] })
  await costs.settleAbandoned('two', 5_000, 1, 10)
  await loop.heartbeat('one', 1)
  const idempotency = { key: 'k', hash: 'h' }
  const newSession = { ...sessionNamed('s'), scope: null }
  const first = await loop.accept(owner, accepting('s', 't', { idempotency, refuseDuplicateSince: 0, newSession }))
  if (first.outcome !== 'started') throw new Error(first.outcome)
  const { lease } = first.started
  await loop.accept(owner, accepting('s', 'limited', { budgets: outside.windows, whenBusy: 'refuse' }))
  await loop.reserve(lease, setAside('r', 't'), { at: 1, ledger: [{ ...paid('r'), turn: 't' }], settlements: [] })
  for (const turn of ['queued 1', 'queued 2', 'queued 3']) await loop.accept(owner, accepting('s', turn))
  await loop.accept(owner, accepting('s', 'refused', { whenBusy: 'refuse' }))
  await loop.flush(lease, 'line\n')
  const toolCallEnds = [{ id: 'c', status: 'started', output: null, endedAt: null }] as const
  await loop.commit(lease, { at: 1, toolCalls: [toolCall('c')], toolCallEnds, approvals: [approval('a', 'c')] })
  await loop.commit(lease, { at: 1, status: 'waiting' })
  await approvals.resumable(10)
  await loop.held('one')
  await approvals.expire(5_000, 10)
  await approvals.unfollowed(10)
  const resumed = await loop.resume('t', 'one', 1)
  await loop.cancel(owner, 't', 'one', 1)
  await loop.cancel(owner, 'queued 3', 'one', 1)
  const second = await loop.commit(resumed?.lease ?? lease, { ...answering('t'), status: 'failed' })
  await loop.commit(second.next?.lease ?? lease, {
    at: 1,
    status: 'waiting',
    toolCallEnds: [{ id: 'c', status: 'succeeded', output: null, endedAt: 1 }],
  })
  await loop.cancel(owner, 'queued 1', 'one', 1)
  await store.sessions.create(owner, sessionNamed('left'))
  await startTurn(store, 'left', 'left')
  await loop.takeOver('two', 5_000, 1, 10)
  await loop.prune(5_000)
  await loop.retire('one')
}

async function ofGenerations({ config }: Store): Promise<void> {
  const { tenant } = owner
  const made = { author: 'ada', description: '', trigger: 'change', createdAt: 1 }
  const code = { hash: 'code', definitions: '{}' }
  const generation = (hash: string) => ({ ...made, content: { hash, format: 1, content: '{}' } })
  const secrets = [
    { name: 'set', sealed: { keyId: 'old', envelope: 'sealed' } },
    { name: 'unset', sealed: null },
  ]
  const common = { code, empty: false, activate: true, secrets }
  await config.add(tenant, { ...common, generation: generation('one'), base: 0, numbering: 'append' })
  await config.add(tenant, { ...common, generation: generation('two'), base: 1, numbering: 'reuse' })
  await config.putSecrets(tenant, { secrets, base: 2, at: 2 })
  await config.activate(tenant, 1, 2, 2)
  await config.heads(0, 10)
  await config.list(tenant, { limit: 10 })
  await config.get(tenant, 1)
  await config.content(tenant, 1)
  await config.definitions(tenant, code.hash)
  await config.deploy({ hash: 'newer code', definitions: '{}' }, made)
  await config.pin(tenant, 1, true)
  await config.prune(tenant, { keep: 0, leftBefore: 10, limit: 10 })
}

async function ofVault({ vault }: Store): Promise<void> {
  const entry = { tenant: owner.tenant, name: 'key', keyId: 'old', envelope: 'sealed' }
  await vault.put(entry, 1)
  await vault.get(entry.tenant, entry.name)
  await vault.list(entry.tenant, '', 10)
  await vault.keyIds(10)
  await vault.under('new', { tenant: '', name: '' }, 10)
  await vault.reseal([{ ...entry, before: entry.envelope, keyId: 'new' }])
  await vault.remove(entry.tenant, entry.name)
}

async function ofConnectors({ connectors }: Store): Promise<void> {
  const { tenant } = owner
  await connectors.register(tenant, 'files', 1)
  await connectors.note(tenant, 'files', { lastSuccessAt: 2, lastError: null, lastErrorAt: null })
  await connectors.list(tenant, 10)
  await connectors.remove(tenant, 'files')
}
