import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const root = new URL('..', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

const pages = ['README.md', 'docs/configuration.md']

/** `<!-- path -->` before a fence says which file the code stands in: examples are compiled and run, prose is not. */
const snippets = pages.flatMap((page) => [...read(page).matchAll(/<!-- (\S+) -->\n```ts\n([\s\S]*?)```/g)])

test('every snippet with a source stands in that file, word for word', () => {
  expect(snippets.length).toBeGreaterThanOrEqual(2)
  for (const [, path = '', code = ''] of snippets) {
    expect(code.trim(), path).not.toBe('')
    expect(read(path), path).toContain(code.trim())
  }
})

test('every script the README names exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const [, name = ''] of read('README.md').matchAll(/npm run ([\w:]+)/g)) expect(scripts).toHaveProperty(name)
})
