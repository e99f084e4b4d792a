import { connectorErrors } from './errors.ts'

/** What a caller may have started, unless the host says otherwise. */
export const defaultPrograms: readonly string[] = ['npx', 'node', 'python', 'python3', 'uvx', 'docker', 'deno', 'bun']

const shellCharacters = /[;|&$`(){}<>!\n\r\0]/
const word = /(?:[^\s"']+|"[^"]*"|'[^']*')+/g
const rest = /^(?:[^\s"']|"[^"]*"|'[^']*'|\s)*$/

/**
 * Splits a command line into the program and its arguments. Blanks part words; single or double quotes keep blanks
 * within a word and are taken away; nothing else has a meaning, `\`, `~` and `*` included. What only a shell would
 * understand is refused, quoted or not: `; | & $ ( ) { } < > !`, a backtick, a line break. Throws
 * `CONNECTOR_COMMAND_INVALID`.
 */
export function splitCommand(line: string): { readonly command: string; readonly args: readonly string[] } {
  const refused = (why: string) =>
    connectorErrors.CONNECTOR_COMMAND_INVALID({ message: `the command is not allowed: ${why}` })
  const character = shellCharacters.exec(line)?.[0]
  if (character !== undefined) throw refused(`it has ${JSON.stringify(character)}, which only a shell would understand`)
  if (!rest.test(line)) throw refused('a quote is not closed')
  const words = (line.match(word) ?? []).map((text) => text.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'))
  const [command, ...args] = words
  if (command === undefined || command === '') throw refused('it names no program')
  return { command, args }
}

/** Throws `CONNECTOR_COMMAND_INVALID` unless the program is among those allowed, by its name or its whole path. */
export function checkProgram(command: string, programs: readonly string[]): void {
  const base = command.slice(Math.max(command.lastIndexOf('/'), command.lastIndexOf('\\')) + 1)
  if (programs.includes(command) || programs.includes(base)) return
  throw connectorErrors.CONNECTOR_COMMAND_INVALID({
    message: `the command is not allowed: ${JSON.stringify(base.slice(0, 64))} is none of ${programs.join(', ')}`,
  })
}
