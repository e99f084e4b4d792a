import { type Client, createRuntime, defineAgent, notesTools, type Provider } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'

const librarian = defineAgent({
  id: 'librarian',
  instructions: 'You know what your user has written down, and write down what is worth keeping.',
  models: ['openai/gpt-5-mini'],
  tools: notesTools(),
  recall: { notes: true, tokens: 1_000 },
})

export const openLibrary = (file: string, provider: Provider) =>
  createRuntime({ store: sqliteStore(file), providers: [provider], agents: [librarian] })

export async function takeNotes(client: Client) {
  const { path } = await client.notes.create({
    content: 'TODO call the Müllers tomorrow at 9 #family',
    parse: true,
    timeZone: 'Europe/Berlin',
  })
  await client.notes.update({ path, priority: 2 })
  return await client.notes.search({ query: 'muller fam' })
}
