import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'

/** One `import` or `export … from` of a file, or one `import()` call. */
export interface ModuleImport {
  readonly specifier: string
  /** The file it names, relative to the repository, when the specifier is relative; otherwise null. */
  readonly target: string | null
  /** `type` is erased before anything runs; `dynamic` runs when its line does. */
  readonly kind: 'value' | 'type' | 'dynamic'
  readonly line: number
}

export interface SourceFile {
  /** Relative to the repository, with `/`. */
  readonly path: string
  readonly lines: number
  readonly imports: readonly ModuleImport[]
  /** The text with comments, templates and regular expressions blanked out; line breaks and strings are kept. */
  readonly code: string
}

export type SourceTree = readonly SourceFile[]

export interface Problem {
  readonly rule: string
  readonly path: string
  readonly line?: number
  readonly message: string
  readonly level: 'error' | 'warning'
}

export const isTest = (path: string): boolean => /\.test(-d)?\.ts$/.test(path)

/** Replaces what is not code by blanks of the same shape, so that rules can match by line and column. */
function blankOut(text: string): string {
  let code = ''
  let at = 0
  const templates: number[] = []
  let depth = 0

  const blank = (end: number) => {
    code += text.slice(at, end).replace(/[^\n]/g, ' ')
    at = end
  }
  const keep = (end: number) => {
    code += text.slice(at, end)
    at = end
  }
  const templateEnd = (from: number): number => {
    let end = from
    while (end < text.length && text[end] !== '`' && !text.startsWith('${', end)) end += text[end] === '\\' ? 2 : 1
    if (text[end] === '`') return end + 1
    templates.push(depth)
    return end + 2
  }

  while (at < text.length) {
    const rest = text.slice(at, at + 2)
    const character = text[at] as string
    if (rest === '//') blank(indexAfter(text, '\n', at) - 1)
    else if (rest === '/*') blank(indexAfter(text, '*/', at + 2))
    else if (character === '`') blank(templateEnd(at + 1))
    else if (character === "'" || character === '"') keep(stringEnd(text, at))
    else if (character === '/' && startsPattern(code)) blank(patternEnd(text, at))
    else if (character === '}' && templates.at(-1) === depth) {
      templates.pop()
      blank(templateEnd(at + 1))
    } else {
      if (character === '{') depth += 1
      if (character === '}') depth -= 1
      keep(at + 1)
    }
  }
  return code
}

function indexAfter(text: string, end: string, from: number): number {
  const index = text.indexOf(end, from)
  return index === -1 ? text.length + (end === '\n' ? 1 : 0) : index + end.length
}

function stringEnd(text: string, start: number): number {
  let end = start + 1
  while (end < text.length && text[end] !== text[start] && text[end] !== '\n') end += text[end] === '\\' ? 2 : 1
  return end + 1
}

/** A slash after an operator, a bracket or nothing starts a regular expression; after a value it divides. */
const startsPattern = (before: string): boolean =>
  /(^|[=(,:;!&|?{}[+~<>*%^-]|\b(return|typeof|case|in|of|yield|await))$/.test(before.slice(-40).trimEnd())

function patternEnd(text: string, start: number): number {
  let inClass = false
  let end = start + 1
  for (; end < text.length && text[end] !== '\n'; end += 1) {
    if (text[end] === '\\') end += 1
    else if (text[end] === '[') inClass = true
    else if (text[end] === ']') inClass = false
    else if (text[end] === '/' && !inClass) return end + 1
  }
  return end
}

const statements = [
  /^import\s+(type\s+)?(?:[\w$\s{},*]+?\sfrom\s+)?['"]([^'"]+)['"]/gm,
  /^export\s+(type\s+)?(?:\{[^}]*\}|\*(?:\s+as\s+[\w$]+)?)\s+from\s+['"]([^'"]+)['"]/gm,
]
const calls = /\bimport\(\s*['"]([^'"]+)['"]/g

/** Reads one file's imports. The text must be formatted: a statement starts in the first column. */
export function readSource(path: string, text: string): SourceFile {
  const code = blankOut(text)
  const imports: ModuleImport[] = []
  const add = (specifier: string, kind: ModuleImport['kind'], index: number) => {
    const target = specifier.startsWith('.') ? join(dirname(path), specifier) : null
    imports.push({ specifier, target, kind, line: code.slice(0, index).split('\n').length })
  }
  for (const statement of statements) {
    for (const match of code.matchAll(statement)) add(match[2] as string, match[1] ? 'type' : 'value', match.index)
  }
  for (const match of code.matchAll(calls)) add(match[1] as string, 'dynamic', match.index)
  return { path, lines: text.replace(/\n$/, '').split('\n').length, imports, code }
}

/** A tree from texts in memory, path to text. */
export const treeOf = (files: Readonly<Record<string, string>>): SourceTree =>
  Object.entries(files).map(([path, text]) => readSource(path, text))

/** The TypeScript files of the repository at `root` that the rules are about. */
export function readTree(root: string): SourceTree {
  const patterns = [
    'packages/*/{src,test}/**/*.ts',
    'examples/**/*.ts',
    'scripts/**/*.ts',
    'bench/**/*.ts',
    'test/**/*.ts',
  ]
  const paths = globSync(patterns, { cwd: root, exclude: ['**/node_modules/**', '**/dist/**'] })
  return paths
    .map((path) => path.replaceAll('\\', '/'))
    .sort()
    .map((path) => readSource(path, readFileSync(join(root, path), 'utf8')))
}
