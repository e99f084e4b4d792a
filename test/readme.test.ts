import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const root = new URL('..', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

const pages = [
  'README.md',
  ...readdirSync(new URL('docs', root)).flatMap((name) => (name.endsWith('.md') ? `docs/${name}` : [])),
]
const all = pages.map(read).join('\n')

/** `<!-- path -->` before a fence says which file the code stands in: examples are compiled and run, prose is not. */
const snippets = [...all.matchAll(/<!-- (\S+) -->\n```ts\n([\s\S]*?)```/g)]

test('every snippet with a source stands in that file, word for word', () => {
  expect(snippets.length).toBeGreaterThanOrEqual(13)
  for (const [, path = '', code = ''] of snippets) {
    expect(code.trim(), path).not.toBe('')
    expect(read(path), path).toContain(code.trim())
  }
})

test('the page about testing has ten examples, each a whole file that is run', () => {
  const page = read('docs/testing.md')
  expect([...page.matchAll(/^## \d+\. /gm)]).toHaveLength(10)
  const run = readdirSync(new URL('examples/testing-agents/test', root)).filter((name) => name.endsWith('.test.ts'))
  const shown = [...page.matchAll(/<!-- examples\/testing-agents\/test\/(\S+) -->/g)].map(([, name]) => name)
  expect(shown.toSorted()).toEqual(run.toSorted())
})

test('every script the pages name exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const [, name = ''] of all.matchAll(/npm run ([\w:]+)/g)) expect(scripts).toHaveProperty(name)
})
