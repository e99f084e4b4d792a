import { singleOwner } from '@keelson/core'
import { callTool, say, scriptedModel } from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { openLibrary, takeNotes } from './librarian.ts'

test('what the page on notes shows works', async () => {
  const model = scriptedModel([callTool('write_note', { title: 'Tides', content: 'High at noon.' }), say('Noted.')], {
    id: 'openai',
  })
  const runtime = openLibrary(':memory:', model)
  const client = runtime.as(singleOwner('code'))
  expect(await takeNotes(client)).toMatchObject([
    {
      path: 'tasks/call-the-muellers-tomorrow-at-9-family',
      type: 'task',
      tags: ['family'],
      reminder: true,
      priority: 2,
    },
  ])
  await client.run('librarian', { message: 'High tide is at noon.' }).result
  expect(await client.notes.search({ query: 'tides' })).toHaveLength(1)
  await runtime.stop()
})
