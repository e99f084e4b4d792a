import { describe } from 'vitest'
import { describeNotes } from './memory-notes.ts'
import { describeNoteSearch } from './memory-search.ts'
import type { StoreSubject } from './scene.ts'

export function describeMemory(subject: StoreSubject): void {
  describe('memory', () => {
    describeNotes(subject)
    describeNoteSearch(subject)
  })
}
