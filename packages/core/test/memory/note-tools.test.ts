import { defineAgent, type JsonObject, notesTools } from '@keelson/core'
import { callTool, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'

const scribe = defineAgent({
  id: 'scribe',
  instructions: 'You take notes.',
  models: ['openai/gpt-5-mini'],
  tools: notesTools(),
})

/** What the model was told that its last call gave. */
const outputOf = (model: ReturnType<typeof scriptedModel>) => {
  const part = model.calls.at(-1)?.request?.messages.at(-1)?.parts[0]
  return part?.type === 'tool-result' ? part.output : undefined
}

const run = async (tool: string, args: JsonObject, options: { subject?: string; roles?: string[] } = {}) => {
  const model = scriptedModel([callTool(tool, args), say('Done.')])
  const runtime = await createTestRuntime({ agents: [scribe], model })
  const { subject = 'ada', roles = ['operator'] } = options
  return {
    runtime,
    client: runtime.caller(subject, { roles }),
    turn: async () => {
      const result = await runtime.caller(subject, { roles }).run('scribe', { message: 'Go.' }).result
      return { ...result, output: outputOf(model) }
    },
  }
}

describe('the note tools', () => {
  test('write a note of the user whose turn it is, which a search then finds', async () => {
    const note = { title: 'Zürich', content: 'We fly in March.', tags: ['trip'], due: '2027-03-01', type: 'task' }
    const { client, runtime, turn } = await run('write_note', note)
    await using _ = runtime
    expect((await turn()).output).toMatchObject({ path: 'tasks/zuerich', type: 'task', due: '2027-03-01' })
    const [found] = await client.notes.search({ query: 'zurich march' })
    expect(found).toMatchObject({ path: 'tasks/zuerich', subject: 'ada', tags: ['trip'] })
  })

  test('search and read what is there', async () => {
    const searching = await run('search_notes', { query: 'zur' })
    await using _ = searching.runtime
    await searching.client.notes.create({ title: 'Zürich', content: 'March.' })
    expect((await searching.turn()).output).toMatchObject([{ path: 'notes/zuerich', title: 'Zürich' }])
    const reading = await run('read_note', { path: 'notes/zuerich' })
    await using __ = reading.runtime
    await reading.client.notes.create({ title: 'Zürich', content: 'March.' })
    expect((await reading.turn()).output).toMatchObject({ content: 'March.' })
  })

  test('update a note', async () => {
    const { client, runtime, turn } = await run('update_note', { path: 'notes/zuerich', status: 'archived' })
    await using _ = runtime
    await client.notes.create({ title: 'Zürich', content: 'March.' })
    await turn()
    expect(await client.notes.get({ path: 'notes/zuerich' })).toMatchObject({ status: 'archived', content: 'March.' })
  })

  test('reach no note of anybody else, even in the turn of an operator', async () => {
    const { runtime, turn } = await run('read_note', { path: 'notes/secret' })
    await using _ = runtime
    await runtime.caller('bob').notes.create({ title: 'Secret', content: 'x' })
    expect((await turn()).output).toBe('the tool failed: no such note')
  })

  test('tell the model what was wrong with its arguments', async () => {
    const { runtime, turn } = await run('read_note', { path: '../etc/passwd' })
    await using _ = runtime
    expect((await turn()).output).toMatch(/a path of a note has at most 512/)
    const wrong = await run('write_note', { title: 'x', content: 'y', folder: 'z' })
    await using __ = wrong.runtime
    expect((await wrong.turn()).output).toMatch(/do not fit: .*folder/)
  })

  test('ask before they write for somebody without authority, and never before they read', async () => {
    const writing = await run('write_note', { title: 'x', content: 'y' }, { subject: 'guest', roles: [] })
    await using _ = writing.runtime
    expect((await writing.turn()).status).toBe('waiting')
    expect(await writing.client.notes.list({ limit: 10, offset: 0 })).toEqual([])
    const reading = await run('search_notes', { query: 'x' }, { subject: 'guest', roles: [] })
    await using __ = reading.runtime
    expect((await reading.turn()).output).toEqual([])
  })
})
