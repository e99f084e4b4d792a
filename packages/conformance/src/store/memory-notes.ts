import type { NewNote, Note } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import {
  ada,
  bob,
  everything,
  newId,
  operator,
  otherOperator,
  outsiders,
  type StoreSubject,
  start,
  stranger,
  useScene,
} from './scene.ts'

export const newNote = (values: Partial<NewNote> = {}): NewNote => ({
  id: newId('note'),
  path: 'notes/keel',
  title: 'Keel',
  content: 'The beam at the bottom.',
  type: 'note',
  status: 'active',
  tags: [],
  priority: 0,
  due: null,
  parentPath: 'notes',
  reminder: false,
  createdAt: start,
  ...values,
})

const pathsOf = (notes: readonly { readonly path: string }[]) => notes.map(({ path }) => path)

const summaryOf = ({ content, ...summary }: Note) => summary

export function describeNotes(subject: StoreSubject): void {
  describe('notes', () => {
    const scene = useScene(subject)
    const memory = () => scene().store.memory
    const create = async (values: Partial<NewNote> = {}, owner = ada): Promise<Note> => {
      const note = await memory().createNote(owner, newNote(values))
      if (note === null) throw new Error('the note was not stored')
      return note
    }
    const words = (...all: string[]) => all.map((word) => ({ word, prefix: true }))
    const find = async (word: string, reach: Parameters<ReturnType<typeof memory>['note']>[0] = ada) =>
      pathsOf(await memory().searchNotes(reach, words(word), everything))

    it('come back as they were stored', async () => {
      const given = newNote({
        title: 'Übermut tut "selten" gut',
        content: "Zeile\n\n- 'x' \\ % _ 👍🏽\u2028",
        type: 'task',
        status: 'open',
        tags: ['a b', 'ß', '"'],
        priority: 3,
        due: '2026-11-23T09:00:00+01:00',
        parentPath: null,
        reminder: true,
        createdAt: 2 ** 50,
      })
      const stored = await memory().createNote(ada, given)
      expect(stored).toEqual({ ...given, ...ada, updatedAt: null })
      for (const reach of [ada, operator]) {
        expect(await memory().note(reach, { id: given.id })).toEqual(stored)
        expect(await memory().note(reach, { path: given.path })).toEqual(stored)
        expect(await memory().notes(reach, everything)).toEqual([stored && summaryOf(stored)])
      }
    })

    it('do not exist for others', async () => {
      const note = await create()
      for (const reach of outsiders) {
        expect(await memory().note(reach, { id: note.id })).toBeNull()
        expect(await memory().note(reach, { path: note.path })).toBeNull()
        expect(await memory().notes(reach, everything)).toEqual([])
        expect(await memory().topics(reach, everything)).toEqual([])
        expect(await memory().searchNotes(reach, words('keel'), everything)).toEqual([])
        expect(await memory().notesContaining(reach, 'keel', everything)).toEqual([])
        expect(await memory().updateNote(reach, note.id, { title: 'mine' }, start)).toBeNull()
      }
      for (const owner of [bob, stranger]) {
        expect(await memory().recallNotes(owner, words('keel'), { limit: 10, characters: 100 })).toEqual([])
      }
      expect(await memory().note(ada, { id: note.id })).toEqual(note)
    })

    describe('paths', () => {
      it('are numbered where they are taken, each owner by themselves', async () => {
        const made = []
        for (let count = 0; count < 3; count += 1) made.push((await create()).path)
        expect(made).toEqual(['notes/keel', 'notes/keel-2', 'notes/keel-3'])
        for (const owner of [bob, stranger]) expect((await create({}, owner)).path).toBe('notes/keel')
      })

      it('are not given twice when a title ends in a number', async () => {
        await create()
        expect((await create({ path: 'notes/keel-2' })).path).toBe('notes/keel-2')
        expect((await create({ path: 'notes/keel-3' })).path).toBe('notes/keel-3')
        expect((await create()).path).toBe('notes/keel-4')
        expect((await create({ path: 'notes/keel-2' })).path).toBe('notes/keel-2-2')
        expect((await create()).path).toBe('notes/keel-5')
      })

      it('are given once to creators who race', async () => {
        const racing = Array.from({ length: 12 }, (_, index) =>
          create({ path: index % 3 === 2 ? 'notes/keel-2' : 'notes/keel' }),
        )
        const paths = pathsOf(await Promise.all(racing))
        expect(new Set(paths).size).toBe(12)
        expect(paths).toContain('notes/keel')
        expect(await memory().notes(ada, everything)).toHaveLength(12)
      })

      it('name the oldest note where several of a tenant have one', async () => {
        const second = await create({ createdAt: start + 1 }, bob)
        const first = await create({ createdAt: start })
        await create({ createdAt: start - 1 }, stranger)
        expect(await memory().note(operator, { path: 'notes/keel' })).toEqual(first)
        expect(await memory().note(bob, { path: 'notes/keel' })).toEqual(second)
      })
    })

    describe('an id', () => {
      it('that the owner has used gives the note that is there', async () => {
        const note = await create({ id: 'chosen' })
        const again = { id: 'chosen', title: 'Another', path: 'notes/another' }
        expect(await memory().createNote(ada, newNote(again))).toEqual(note)
        expect(await memory().notes(ada, everything)).toHaveLength(1)
        expect(await find('another')).toEqual([])
      })

      it('of somebody else is refused', async () => {
        const note = await create({ id: 'chosen' })
        expect(await memory().createNote(bob, newNote({ id: 'chosen', title: 'Mine' }))).toBeNull()
        expect(await memory().notes(bob, everything)).toEqual([])
        expect(await memory().note(ada, { id: 'chosen' })).toEqual(note)
      })

      it('is used once by creators who race', async () => {
        const racing = Array.from({ length: 8 }, () => create({ id: 'chosen' }))
        const notes = await Promise.all(racing)
        expect(new Set(pathsOf(notes)).size).toBe(1)
        expect(await memory().notes(ada, everything)).toHaveLength(1)
      })
    })

    describe('an update', () => {
      it('changes what is given and when it was edited, and never the path', async () => {
        const note = await create({ tags: ['ship'], due: '2026-11-23', priority: 1 })
        await create({ path: 'notes/other', title: 'Other' })
        const first = await memory().updateNote(ada, note.id, { status: 'done', due: null }, start + 5)
        expect(first).toEqual({ ...note, status: 'done', due: null, updatedAt: start + 5 })
        const patch = {
          title: 'Mast',
          content: 'It stands up.',
          type: 'fact',
          tags: ['rig'],
          priority: 2,
          parentPath: 'topics/rigging',
          reminder: true,
        }
        const second = await memory().updateNote(operator, note.id, patch, start + 6)
        expect(second).toEqual({ ...note, ...patch, status: 'done', due: null, updatedAt: start + 6 })
        expect(await memory().note(ada, { id: note.id })).toEqual(second)
        expect(await memory().updateNote(ada, 'unknown', patch, start)).toBeNull()
      })

      it('is found by its new words alone', async () => {
        const note = await create({ tags: ['ship'] })
        await memory().updateNote(ada, note.id, { title: 'Mast' }, start + 1)
        expect(await find('keel')).toEqual([])
        expect(await find('mast')).toEqual([note.path])
        expect(await find('beam')).toEqual([note.path])
        await memory().updateNote(ada, note.id, { content: 'It stands up.', tags: ['rig'] }, start + 2)
        expect(await find('beam')).toEqual([])
        expect(await find('ship')).toEqual([])
        expect(await find('stands')).toEqual([note.path])
        expect(pathsOf(await memory().notesContaining(ada, 'mas', everything))).toEqual([note.path])
        await memory().updateNote(ada, note.id, { status: 'done' }, start + 3)
        expect(await find('rig')).toEqual([note.path])
      })

      it('loses nothing of another that is made at the same time', async () => {
        const note = await create()
        const patches = [{ title: 'Mast' }, { content: 'up' }, { tags: ['rig'] }, { priority: 3 }, { status: 'done' }]
        await Promise.all(patches.map((patch) => memory().updateNote(ada, note.id, patch, start + 1)))
        const merged = { ...note, updatedAt: start + 1, ...Object.assign({}, ...patches) }
        expect(await memory().note(ada, { id: note.id })).toEqual(merged)
        expect(await find('mast')).toEqual([note.path])
        expect(await find('up')).toEqual([note.path])
        expect(await find('rig')).toEqual([note.path])
        expect(await find('keel')).toEqual([])
        expect(await find('beam')).toEqual([])
      })
    })

    describe('a list', () => {
      it('has what was edited last first, then what never was, newest first', async () => {
        const made = []
        for (const offset of [3, 1, 2, 4]) {
          made.push(await create({ createdAt: start + offset, path: `notes/n${offset}` }))
        }
        const [third, first, second] = made
        await memory().updateNote(ada, first?.id ?? '', { status: 'done' }, start + 9)
        await memory().updateNote(ada, third?.id ?? '', { status: 'done' }, start + 8)
        const sorted = ['notes/n1', 'notes/n3', 'notes/n4', 'notes/n2']
        expect(pathsOf(await memory().notes(ada, everything))).toEqual(sorted)
        expect(pathsOf(await memory().notes(operator, { limit: 2, offset: 1 }))).toEqual(sorted.slice(1, 3))
        expect(await memory().notes(ada, { limit: 0, offset: 0 })).toEqual([])
        expect(second?.updatedAt).toBeNull()
      })

      it('is filtered by type, status and topic, each alone and together', async () => {
        await create({ path: 'a', type: 'task', status: 'open', parentPath: 'topics/t' })
        await create({ path: 'b', type: 'task', status: 'done' })
        await create({ path: 'c', type: 'note', status: 'open', parentPath: null })
        await create({ path: 'd', type: 'task', status: 'open' }, bob)
        const listed = async (filter: object, reach: typeof operator = ada) =>
          pathsOf(await memory().notes(reach, everything, filter)).toSorted()
        expect(await listed({ type: 'task' })).toEqual(['a', 'b'])
        expect(await listed({ status: 'open' })).toEqual(['a', 'c'])
        expect(await listed({ type: 'task', status: 'open' })).toEqual(['a'])
        expect(await listed({ parentPath: 'topics/t' })).toEqual(['a'])
        expect(await listed({ type: 'task', status: 'open' }, operator)).toEqual(['a', 'd'])
        expect(await listed({ type: 'task' }, otherOperator)).toEqual([])
      })
    })

    it('of type topic count what is filed under them', async () => {
      const topic = await create({ path: 'topics/ships', title: 'Ships', type: 'topic' })
      const empty = await create({ path: 'topics/boats', title: 'Boats', type: 'topic' })
      await create({ path: 'topics/old', title: 'Aged', type: 'topic', status: 'archived' })
      await create({ path: 'a', parentPath: 'topics/ships' })
      await create({ path: 'b', parentPath: 'topics/ships', status: 'done' })
      await create({ path: 'c', parentPath: 'topics/ships', status: 'archived' })
      await create({ path: 'd', parentPath: 'topics/ships' }, bob)
      const expected = [
        { ...summaryOf(empty), notes: 0 },
        { ...summaryOf(topic), notes: 2 },
      ]
      expect(await memory().topics(ada, everything)).toEqual(expected)
      expect(await memory().topics(operator, everything)).toEqual(expected)
      expect(await memory().topics(ada, { limit: 1, offset: 1 })).toEqual(expected.slice(1))
    })
  })
}
