import { hash } from 'node:crypto'
import type { ModelRequest } from '../capabilities/models/index.ts'
import type { Part } from '../capabilities/sessions/index.ts'
import type { Redaction } from './redaction.ts'

/** A request as a cassette keeps it. */
export interface RequestDigest {
  /** SHA-256 of all that a provider is given, hex. */
  readonly hash: string
  /** The same for people, a line for each piece. A line that does not show everything ends in a sum of what it stands for. */
  readonly digest: readonly string[]
}

const longestLine = 160

/** Without secrets. Ids of tool calls count by their order only: they are others in every run. */
export function digestRequest(model: string, request: ModelRequest, redaction: Redaction): RequestDigest {
  const { maxOutputTokens, messages, output, temperature, tools } = redaction.value(request)
  const numbers = new Map<string, number>()
  const numbered = (part: Part): Part => {
    if (part.type !== 'tool-call' && part.type !== 'tool-result') return part
    const number = numbers.get(part.call) ?? numbers.size + 1
    numbers.set(part.call, number)
    return { ...part, call: `#${number}` }
  }
  const said = messages.map(({ role, parts }) => ({ role, parts: parts.map(numbered) }))
  const instructions = redaction.text(request.instructions)
  const settings = temperature === undefined ? '' : `, temperature ${temperature}`
  return {
    hash: hash(
      'sha256',
      stable({ model, instructions, messages: said, tools, maxOutputTokens, temperature: temperature ?? null, output }),
    ),
    digest: [
      `model ${model}, at most ${maxOutputTokens} tokens${settings}`,
      ...(instructions === '' ? [] : [line('instructions: ', instructions)]),
      ...tools.map(({ name, description, parameters }) => line(`tool ${name}: `, description, stable(parameters))),
      ...(output === undefined ? [] : [line(`output ${output.name}`, '', stable(output.schema))]),
      ...said.flatMap(({ role, parts }) => parts.map((part) => partLine(role, part))),
    ],
  }
}

function partLine(role: string, part: Part): string {
  switch (part.type) {
    case 'text':
      return line(`${role}: `, part.text)
    case 'reasoning':
      return line(`${role} thinks: `, part.text, part.state && stable(part.state))
    case 'image':
      return 'url' in part ? line(`${role} shows `, part.url) : line(`${role} shows ${part.mediaType}`, '', part.data)
    case 'tool-call':
      return line(`${role} calls ${part.tool} ${part.call} `, part.arguments)
    case 'tool-result':
      return line(`result of ${part.call}${part.isError ? ', failed' : ''}: `, textOf(part.output))
  }
}

const textOf = (output: unknown): string => (typeof output === 'string' ? output : stable(output))

function line(head: string, text: string, more = ''): string {
  const shown = text.replace(/\s+/g, ' ')
  if (shown === text && shown.length <= longestLine && more === '') return head + shown
  const cut = shown.length > longestLine ? `${shown.slice(0, longestLine)}… ` : `${shown} `
  return `${(head + cut).trimEnd()} [${hash('sha256', text + more).slice(0, 8)}]`
}

/** JSON with the keys in order: the same value is the same text. */
const stable = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([one], [other]) => (one < other ? -1 : 1)))
      : each,
  )

export interface DigestDiff {
  /** Lines that only one of the two has. */
  readonly changes: number
  readonly text: string
}

/** What changed from one digest to another, line by line; runs of equal lines are counted. */
export function diffDigests(before: readonly string[], after: readonly string[]): DigestDiff {
  // Length of the longest common part from each pair of positions on.
  const common = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0))
  const at = (one: number, other: number): number => common[one]?.[other] ?? 0
  for (let one = before.length - 1; one >= 0; one -= 1) {
    for (let other = after.length - 1; other >= 0; other -= 1) {
      const row = common[one]
      if (row === undefined) continue
      row[other] =
        before[one] === after[other] ? at(one + 1, other + 1) + 1 : Math.max(at(one + 1, other), at(one, other + 1))
    }
  }
  const lines: string[] = []
  let [one, other, same, changes] = [0, 0, 0, 0]
  const endSame = () => {
    if (same > 0) lines.push(`    (${same} line${same === 1 ? '' : 's'} the same)`)
    same = 0
  }
  while (one < before.length || other < after.length) {
    if (one < before.length && other < after.length && before[one] === after[other]) {
      same += 1
      one += 1
      other += 1
      continue
    }
    endSame()
    changes += 1
    if (one < before.length && (other >= after.length || at(one + 1, other) >= at(one, other + 1))) {
      lines.push(`  - ${before[one]}`)
      one += 1
    } else {
      lines.push(`  + ${after[other]}`)
      other += 1
    }
  }
  endSame()
  return { changes, text: lines.join('\n') }
}
