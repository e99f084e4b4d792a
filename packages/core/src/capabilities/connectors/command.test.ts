import { describe, expect, it } from 'vitest'
import { checkProgram, defaultPrograms, splitCommand } from './command.ts'
import { problemsOf } from './connector.ts'
import { redactorOf } from './redact.ts'
import { toolName } from './remote-tools.ts'

describe('a command line', () => {
  it.each([
    ['npx -y server', ['npx', '-y', 'server']],
    ['  node   "a b.js"  ', ['node', 'a b.js']],
    [`python 'it is "so"' x`, ['python', 'it is "so"', 'x']],
    ['node --name="a b"c', ['node', '--name=a bc']],
    ['node ""', ['node', '']],
    ['node C:\\path\\x ~ * ?', ['node', 'C:\\path\\x', '~', '*', '?']],
    ['node\ta', ['node', 'a']],
  ])('%j is split at its blanks', (line, [command, ...args]) => {
    expect(splitCommand(line)).toEqual({ command, args })
  })

  it.each([...';|&$`(){}<>!\n\r\0'])('with %j is refused, quoted or not', (character) => {
    for (const line of [`node a${character}b`, `node "${character}"`, `node '${character}'`]) {
      expect(() => splitCommand(line)).toThrow(expect.objectContaining({ code: 'CONNECTOR_COMMAND_INVALID' }))
    }
  })

  it.each(['', '   ', '""', 'node "open', "node 'open", 'node "a\' b'])('%j is refused', (line) => {
    expect(() => splitCommand(line)).toThrow(expect.objectContaining({ code: 'CONNECTOR_COMMAND_INVALID' }))
  })

  it('may start what the host allows, by name or path', () => {
    for (const program of ['npx', '/usr/bin/node', 'C:\\bin\\deno']) checkProgram(program, defaultPrograms)
    for (const program of ['sh', 'bash', '/bin/rm', 'npx.sh', 'curl', '', 'node/../sh']) {
      expect(() => checkProgram(program, defaultPrograms)).toThrow(
        expect.objectContaining({ code: 'CONNECTOR_COMMAND_INVALID' }),
      )
    }
    checkProgram('/opt/tool', ['/opt/tool'])
    expect(() => checkProgram('/tmp/tool', ['/opt/tool'])).toThrow()
  })
})

describe('a definition', () => {
  const stdio = { type: 'stdio', command: 'node', args: [], env: ['TOKEN'] }
  const http = { type: 'http', url: 'https://example.test/mcp', headers: ['authorization'] }

  it('is right for a program and for a server', () => {
    expect(problemsOf({ name: 'files', transport: stdio })).toEqual([])
    expect(problemsOf({ name: 'a-1', transport: http, enabled: false, risks: { x: 'safe' } })).toEqual([])
  })

  it.each([
    null,
    [],
    'text',
    { name: 'files' },
    { name: '', transport: stdio },
    { name: 'a__b', transport: stdio },
    { name: '-a', transport: stdio },
    { name: 'x'.repeat(33), transport: stdio },
    { name: 'a', transport: { ...stdio, command: 'a\0b' } },
    { name: 'a', transport: { ...stdio, args: 'text' } },
    { name: 'a', transport: { ...stdio, args: [7] } },
    { name: 'a', transport: { ...stdio, env: ['A=B'] } },
    { name: 'a', transport: { ...stdio, env: ['LD_PRELOAD'] } },
    { name: 'a', transport: { ...stdio, env: ['NODE_OPTIONS'] } },
    { name: 'a', transport: { ...http, url: 'file:///etc/passwd' } },
    { name: 'a', transport: { ...http, url: 'https://user:secret@example.test' } },
    { name: 'a', transport: { ...http, headers: ['a b'] } },
    { name: 'a', transport: { ...http, headers: ['Host'] } },
    { name: 'a', transport: { type: 'sse' } },
    { name: 'a', transport: stdio, enabled: 'yes' },
    { name: 'a', transport: stdio, risks: { x: 'none' } },
  ])('of %j is told what is wrong with it', (definition) => {
    expect(problemsOf(definition).length).toBeGreaterThan(0)
    expect(problemsOf(definition).join()).not.toContain('secret')
  })
})

describe('the name of a tool', () => {
  it('fits what providers take, and no two names become one', () => {
    const remotes = [
      'read',
      'read_file',
      'read file',
      'read.file',
      'read/file',
      'ü',
      'x'.repeat(100),
      `${'x'.repeat(99)}y`,
      '',
    ]
    const names = remotes.map((remote) => toolName('c'.repeat(32), remote))
    expect(new Set(names).size).toBe(remotes.length)
    for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
    expect(toolName('files', 'read_file')).toBe('files__read_file')
  })
})

describe('a redactor', () => {
  it('takes secrets out as they are, within JSON and within addresses, longest first', () => {
    const redact = redactorOf(['p"ss word', 'p"ss word and more', 'abc'])
    expect(redact('p"ss word and more, p"ss word!')).toBe('[secret], [secret]!')
    expect(redact(JSON.stringify({ a: 'p"ss word' }))).toBe('{"a":"[secret]"}')
    expect(redact(`?key=${encodeURIComponent('p"ss word')}&b`)).toBe('?key=[secret]&b')
    expect(redact('abc')).toBe('abc')
  })
})
