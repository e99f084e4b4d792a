import type { AddGeneration, CodeLayer, ConfigStore, TurnCommit, VaultWrite } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { ada, newTurn, type StoreSubject, start, stranger, useScene } from './scene.ts'

const firstCode: CodeLayer = { hash: 'code one', definitions: '{"agents/clerk":"1"}' }
const nextCode: CodeLayer = { hash: 'code two', definitions: '{"agents/clerk":"2"}' }
const made = { author: 'system', description: 'the code has changed', trigger: 'deploy', createdAt: start + 5 }

const contentOf = (name: string) => ({ hash: `hash of ${name}`, format: 1, content: JSON.stringify({ name }) })

const adding = (name: string, base: number, values: Partial<AddGeneration> = {}): AddGeneration => ({
  generation: {
    author: 'ada',
    description: `makes it ${name}`,
    trigger: 'change',
    content: contentOf(name),
    createdAt: start,
  },
  code: firstCode,
  empty: false,
  base,
  numbering: 'append',
  activate: true,
  secrets: [],
  ...values,
})

export function describeConfig(subject: StoreSubject): void {
  describe('config', () => {
    const scene = useScene(subject)
    const config = (): ConfigStore => scene().store.config

    /** Adds generations on top of each other, each with a content of its own. */
    async function grow(names: readonly string[], tenant = 'acme', base = 0): Promise<void> {
      for (const [index, name] of names.entries()) await config().add(tenant, adding(name, base + index))
    }

    /** That the pointer, and every generation of the tenant, leads to a content. */
    async function sound(tenant = 'acme'): Promise<void> {
      const head = await config().head(tenant)
      const all = await config().list(tenant, { limit: 1_000 })
      for (const { number, contentHash } of all) {
        expect(await config().content(tenant, number)).toMatchObject({ hash: contentHash })
      }
      expect([0, ...all.map(({ number }) => number)]).toContain(head?.active)
    }

    describe('a generation', () => {
      it('is numbered from 1, has the pointer as its parent, and becomes what the pointer shows to', async () => {
        const added = await config().add('acme', adding('blue', 0))
        expect(added).toMatchObject({ outcome: 'created', number: 1, head: { tenant: 'acme', active: 1, latest: 1 } })
        await config().add('acme', adding('red', 1))
        expect(await config().get('acme', 2)).toEqual({
          number: 2,
          parent: 1,
          author: 'ada',
          description: 'makes it red',
          trigger: 'change',
          contentHash: 'hash of red',
          codeHash: 'code one',
          pinned: false,
          createdAt: start,
        })
        expect(await config().content('acme', 2)).toEqual(contentOf('red'))
        expect(await config().definitions('acme', 'code one')).toBe(firstCode.definitions)
      })

      it('is of one tenant, whose numbers are its own', async () => {
        await grow(['blue', 'red'])
        await grow(['green'], stranger.tenant)
        expect(await config().get(stranger.tenant, 2)).toBeNull()
        expect(await config().content(stranger.tenant, 2)).toBeNull()
        expect(await config().definitions('nobody', 'code one')).toBeNull()
        expect(await config().pin(stranger.tenant, 2, true)).toBeNull()
        expect(await config().activate(stranger.tenant, 2, 1, start)).toEqual({ outcome: 'missing' })
        expect(await config().prune(stranger.tenant, { keep: 0, leftBefore: start + 1, limit: 10 })).toBe(0)
        expect(await config().head('nobody')).toBeNull()
        expect((await config().list('acme', { limit: 10 })).map(({ number }) => number)).toEqual([2, 1])
        expect(await config().head('acme')).toMatchObject({ active: 2, latest: 2 })
      })

      it('is added without moving the pointer when it is to be activated later', async () => {
        await grow(['blue'])
        const added = await config().add('acme', adding('red', 1, { activate: false }))
        expect(added).toMatchObject({ outcome: 'created', number: 2, head: { active: 1, latest: 2 } })
        expect(await config().activate('acme', 2, 1, start)).toMatchObject({ head: { active: 2, latest: 2 } })
      })

      it('gives the state of an earlier one back instead of a new number, when numbers are to be used again', async () => {
        await grow(['blue', 'red', 'blue', 'green'])
        const again = await config().add('acme', adding('blue', 4, { numbering: 'reuse' }))
        expect(again).toMatchObject({ outcome: 'reactivated', number: 3, head: { active: 3, latest: 4 } })
        const fresh = await config().add('acme', adding('white', 3, { numbering: 'reuse' }))
        expect(fresh).toMatchObject({ outcome: 'created', number: 5 })
        expect(await config().get('acme', 5)).toMatchObject({ parent: 3 })
        const none = await config().add('acme', adding('', 5, { numbering: 'reuse', empty: true }))
        expect(none).toMatchObject({ outcome: 'reactivated', number: 0, head: { active: 0, latest: 5 } })
      })

      it('is listed newest first, page by page', async () => {
        await grow(['a', 'b', 'c', 'd', 'e'])
        const page = await config().list('acme', { limit: 2 })
        expect(page.map(({ number }) => number)).toEqual([5, 4])
        const next = await config().list('acme', { limit: 2, before: 4 })
        expect(next.map(({ number }) => number)).toEqual([3, 2])
        expect(await config().list('acme', { limit: 0 })).toEqual([])
      })
    })

    describe('the pointer', () => {
      it('is moved by exactly one of many writers with the same base', async () => {
        await grow(['blue'])
        const names = Array.from({ length: 12 }, (_, index) => `by ${index}`)
        const writers = names.map((name, index) =>
          index % 3 === 0 ? config().activate('acme', 0, 1, start) : config().add('acme', adding(name, 1)),
        )
        const results = await Promise.all(writers)
        expect(results.filter(({ outcome }) => outcome !== 'conflict')).toHaveLength(1)
        const head = await config().head('acme')
        for (const result of results) {
          if (result.outcome === 'conflict') expect(result.active).toBe(head?.active)
        }
        await sound()
      })

      it('starts with exactly one of many first writers', async () => {
        const results = await Promise.all(['a', 'b', 'c', 'd'].map((name) => config().add('acme', adding(name, 0))))
        expect(results.map(({ outcome }) => outcome).sort()).toEqual(['conflict', 'conflict', 'conflict', 'created'])
        expect(await config().list('acme', { limit: 10 })).toHaveLength(1)
      })

      it('moves to any generation and to none, and stays where it is for what is not there', async () => {
        await grow(['blue', 'red'])
        expect(await config().activate('acme', 1, 2, start)).toMatchObject({
          outcome: 'activated',
          head: { active: 1 },
        })
        expect(await config().activate('acme', 0, 1, start)).toMatchObject({ head: { active: 0, latest: 2 } })
        expect(await config().activate('acme', 7, 0, start)).toEqual({ outcome: 'missing' })
        expect(await config().activate('acme', 2, 1, start)).toEqual({ outcome: 'conflict', active: 0 })
        expect(await config().head('acme')).toMatchObject({ active: 0, latest: 2 })
        const added = await config().add('acme', adding('green', 0))
        expect(added).toMatchObject({ number: 3 })
      })

      it('has a revision that goes up with each move of any tenant, so that readers miss none', async () => {
        await grow(['blue'])
        const seen = (await config().heads(0, 10)).at(-1)?.revision ?? 0
        expect(seen).toBeGreaterThan(0)
        expect(await config().heads(seen, 10)).toEqual([])
        await Promise.all([grow(['x'], 'one'), grow(['y'], 'two'), grow(['z'], 'three')])
        await config().activate('acme', 0, 1, start)
        const moved = await config().heads(seen, 10)
        expect(moved.map(({ tenant }) => tenant).sort()).toEqual(['acme', 'one', 'three', 'two'])
        expect(moved.at(-1)).toMatchObject({ tenant: 'acme', active: 0 })
        expect(new Set(moved.map(({ revision }) => revision)).size).toBe(4)
        expect(await config().heads(seen, 2)).toEqual(moved.slice(0, 2))
      })
    })

    describe('secrets', () => {
      const secret = (envelope: string, name = 'token'): VaultWrite => ({ name, sealed: { keyId: 'key', envelope } })
      const gone: VaultWrite = { name: 'token', sealed: null }
      const envelope = async (name = 'token', tenant = 'acme') =>
        (await scene().store.vault.get(tenant, name))?.envelope ?? null

      it('are written with their generation, for its tenant alone, and removed with it', async () => {
        const secrets = [secret('first'), secret('other', 'second')]
        await config().add('acme', adding('blue', 0, { secrets }))
        expect([await envelope(), await envelope('second')]).toEqual(['first', 'other'])
        expect(await envelope('token', stranger.tenant)).toBeNull()
        const stored = { name: 'token', keyId: 'key', createdAt: start, updatedAt: start }
        expect((await scene().store.vault.list('acme', '', 10)).at(-1)).toEqual(stored)
        const again = await config().add('acme', adding('blue', 1, { secrets: [secret('again')], numbering: 'reuse' }))
        expect([again.outcome, await envelope()]).toEqual(['reactivated', 'again'])
        await config().add('acme', adding('red', 1, { secrets: [gone, secret('newer', 'second')] }))
        expect([await envelope(), await envelope('second')]).toEqual([null, 'newer'])
      })

      it('without a generation need the pointer where their writer saw it', async () => {
        expect(await config().putSecrets('acme', { secrets: [secret('a')], base: 0, at: start })).toEqual({
          outcome: 'put',
        })
        await grow(['blue'])
        for (const secrets of [[secret('b')], [gone]]) {
          const late = await config().putSecrets('acme', { secrets, base: 0, at: start })
          expect(late).toEqual({ outcome: 'conflict', active: 1 })
        }
        expect(await envelope()).toBe('a')
        await config().putSecrets('acme', { secrets: [gone], base: 1, at: start })
        expect(await envelope()).toBeNull()
        expect((await config().head('acme'))?.active).toBe(1)
      })

      it('of writers that race are those of the one that won', async () => {
        await scene().store.vault.put({ tenant: 'acme', name: 'token', keyId: 'key', envelope: 'before' }, start)
        const writers = Array.from({ length: 12 }, (_, index) => `writer ${index}`)
        const results = await Promise.all(
          writers.map((name, index) =>
            config().add('acme', adding(name, 0, { secrets: [index % 4 === 0 ? gone : secret(name)] })),
          ),
        )
        const won = results.findIndex(({ outcome }) => outcome === 'created')
        expect(results.filter(({ outcome }) => outcome === 'created')).toHaveLength(1)
        expect(await envelope()).toBe(won % 4 === 0 ? null : writers[won])
      })

      it('that race with a generation are written before it, or not at all', async () => {
        for (let base = 0; base < 10; base += 1) {
          const both = [
            () => config().add('acme', adding(`state ${base}`, base, { secrets: [secret('of the generation')] })),
            () => config().putSecrets('acme', { secrets: [secret('alone')], base, at: start }),
          ]
          await Promise.all((base % 2 === 0 ? both : both.toReversed()).map((write) => write()))
          expect(await envelope()).toBe('of the generation')
        }
      })
    })

    describe('a deploy', () => {
      it('makes one generation for each tenant that has not seen the code, with the same content', async () => {
        await grow(['blue', 'red'])
        await grow(['green'], 'other')
        await grow(['white'], 'away')
        await config().activate('away', 0, 1, start)
        const counts = await Promise.all([1, 2, 3].map(() => config().deploy(nextCode, made)))
        expect(counts.sort()).toEqual([0, 0, 2])
        expect(await config().head('acme')).toMatchObject({ active: 3, latest: 3 })
        expect(await config().get('acme', 3)).toMatchObject({
          parent: 2,
          trigger: 'deploy',
          author: 'system',
          contentHash: 'hash of red',
          codeHash: 'code two',
          createdAt: start + 5,
        })
        expect(await config().definitions('other', 'code two')).toBe(nextCode.definitions)
        expect(await config().head('away')).toMatchObject({ active: 0, latest: 1 })
        await sound()
        await sound('other')
      })

      it('does nothing for code that was seen before, however old it is', async () => {
        await grow(['blue'])
        await config().deploy(nextCode, made)
        expect(await config().deploy(firstCode, made)).toBe(0)
        expect(await config().deploy(nextCode, made)).toBe(0)
        expect(await config().head('acme')).toMatchObject({ active: 2, latest: 2 })
      })

      it('moves revisions, so that others hear of it', async () => {
        await grow(['blue'])
        const seen = (await config().heads(0, 10)).at(-1)?.revision ?? 0
        await config().deploy(nextCode, made)
        expect(await config().heads(seen, 10)).toMatchObject([{ tenant: 'acme', active: 2 }])
      })
    })

    describe('retention', () => {
      const all = { keep: 0, leftBefore: start + 1_000, limit: 100 }

      const numbers = async () => (await config().list('acme', { limit: 100 })).map(({ number }) => number)

      /** Turns that were accepted on generations 1, 2 ... in the order of their states. */
      async function turnsOn(changes: readonly (TurnCommit['status'] | 'running' | 'queued')[]): Promise<void> {
        for (const [index, status] of changes.entries()) {
          const session = await scene().session()
          if (status === 'queued') {
            await scene().start(session.id)
            await scene().queue(session.id, { generation: index + 1 })
            continue
          }
          const { lease } = await scene().start(session.id, { generation: index + 1 })
          if (status !== 'running' && status !== undefined)
            await scene().store.loop.commit(lease, { at: start, status })
        }
      }

      it('keeps the newest, the active and the pinned ones', async () => {
        await grow(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
        await config().activate('acme', 3, 8, start)
        expect(await config().pin('acme', 2, true)).toMatchObject({ number: 2, pinned: true })
        expect(await config().prune('acme', { ...all, keep: 2 })).toBe(4)
        expect(await numbers()).toEqual([8, 7, 3, 2])
        await sound()
        expect(await config().pin('acme', 2, false)).toMatchObject({ pinned: false })
        expect(await config().prune('acme', { ...all, keep: 2 })).toBe(1)
        expect(await config().content('acme', 2)).toBeNull()
        expect(await config().get('acme', 2)).toBeNull()
      })

      it('keeps what a turn needs that is not at its end', async () => {
        await grow(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
        await turnsOn(['running', 'queued', 'waiting', 'interrupted', 'completed', 'failed', 'cancelled'])
        await config().prune('acme', all)
        expect(await numbers()).toEqual([8, 4, 3, 2, 1])
      })

      it('keeps what the pointer has only just left', async () => {
        await grow(['a', 'b'])
        await config().activate('acme', 1, 2, start + 2_000)
        await config().activate('acme', 2, 1, start + 3_000)
        expect(await config().prune('acme', all)).toBe(0)
        expect(await config().prune('acme', { ...all, leftBefore: start + 3_001 })).toBe(1)
      })

      it('keeps a content as long as any generation has it, and goes in steps', async () => {
        await grow(['a', 'b', 'a', 'c'])
        expect(await config().prune('acme', { ...all, limit: 2 })).toBe(2)
        expect(await config().content('acme', 3)).toEqual(contentOf('a'))
        expect(await config().prune('acme', { ...all, limit: 2 })).toBe(1)
        expect(await numbers()).toEqual([4])
        const added = await config().add('acme', adding('a', 4))
        expect(added).toMatchObject({ outcome: 'created', number: 5 })
        await sound()
      })

      it('does not forget the newest code, and the older with its last generation', async () => {
        await grow(['a'])
        await config().deploy(nextCode, made)
        await config().prune('acme', all)
        expect(await config().definitions('acme', 'code one')).toBeNull()
        expect(await config().definitions('acme', 'code two')).toBe(nextCode.definitions)
        expect(await config().deploy(nextCode, made)).toBe(0)
      })

      it('never takes away what is activated at the same moment', async () => {
        await grow(Array.from({ length: 20 }, (_, index) => `state ${index}`))
        const [activated, ...pruned] = await Promise.all([
          config().activate('acme', 4, 20, start),
          config().prune('acme', all),
          config().prune('acme', all),
          config().pin('acme', 6, true),
        ])
        await sound()
        const head = await config().head('acme')
        expect(head?.active).toBe(activated.outcome === 'activated' ? 4 : 20)
        const pinned = pruned.at(-1)
        expect((await config().get('acme', 6)) === null).toBe(pinned === null)
      })

      it('leaves turns of nobody else behind', async () => {
        await grow(['a', 'b'])
        const session = await scene().session(stranger)
        const turn = newTurn(session.id, { generation: 1 })
        await scene().start(session.id, turn, stranger)
        await config().prune('acme', all)
        expect(await numbers()).toEqual([2])
        expect(await scene().store.sessions.turn(ada, turn.id)).toBeNull()
      })
    })
  })
}
