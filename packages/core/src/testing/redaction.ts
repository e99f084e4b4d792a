/** What else is to be taken out of a cassette: patterns, or a function over every text. */
export type Redact = readonly (RegExp | string)[] | ((text: string) => string)

/** Takes secrets out. Taking them out twice changes nothing more. */
export interface Redaction {
  text(text: string): string
  /** The same value with every text in it redacted, and with no text under a name such as `password`. */
  value<Value>(value: Value): Value
}

const hidden = '[redacted]'

/** Names whose values are secrets, whatever they look like. */
const names =
  '(?:x-)?(?:api[-_]?key|authorization|password|passphrase|(?:client|shared)?[-_]?secret|(?:access|refresh|auth|id)[-_]?token|token|(?:set-)?cookie|private[-_]?key)'
const secretName = new RegExp(`^${names}$`, 'i')

/** Shapes of keys and credentials. What is kept of a match comes first in it. */
const shapes: readonly RegExp[] = [
  /()-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g,
  /()\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}/g,
  /()\bAIza[\w-]{30,}/g,
  /()\b(?:gh[pousr]|github_pat|glpat|npm|xox[abeprs]|hf)[-_][\w-]{16,}/g,
  /()\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g,
  /()\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g,
  // In prose "basic" and "bearer" are words: what follows has a digit.
  /(\b(?:bearer|basic|digest)\s+)(?=\S*[0-9=])[A-Za-z0-9._~+/=-]{8,}/gi,
  /(\bauthorization\s*[:=]\s*(?:bearer|basic|digest)\s+)[^\s"'\\]+/gi,
  /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:)[^\s/@]+(?=@)/gi,
  // In JSON, also in JSON that stands in a text of JSON.
  new RegExp(`(\\b${names}\\\\*["']\\s*:\\s*\\\\*["'])[^"'\\\\]+`, 'gi'),
  new RegExp(`(\\b${names}\\s*[:=]\\s*)(?!(?:bearer|basic|digest)\\b)[^\\s"',;&\\\\}]{6,}`, 'gi'),
]

/** Values of the environment that are secrets by their name. */
const secretsOf = (environment: NodeJS.ProcessEnv): string[] =>
  Object.entries(environment).flatMap(([name, value = '']) =>
    value.length >= 8 && /(?:KEY|TOKEN|SECRET|PASSWORD)$/i.test(name) ? value : [],
  )

/** Knows the shapes of keys, the secrets of this process's environment, and what else is named. */
export function createRedaction(more: Redact = [], environment: NodeJS.ProcessEnv = process.env): Redaction {
  const secrets = secretsOf(environment)
  const patterns = typeof more === 'function' ? [] : more
  const own = typeof more === 'function' ? more : (text: string) => text

  const text = (given: string): string => {
    let clean = own(given)
    for (const secret of secrets) clean = clean.replaceAll(secret, hidden)
    for (const shape of shapes) clean = clean.replace(shape, `$1${hidden}`)
    for (const pattern of patterns) {
      clean = clean.replaceAll(typeof pattern === 'string' ? pattern : everywhere(pattern), hidden)
    }
    return clean
  }

  const walk = (value: unknown, name: string): unknown => {
    if (typeof value === 'string') return value !== '' && secretName.test(name) ? hidden : text(value)
    if (Array.isArray(value)) return value.map((each) => walk(each, ''))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, walk(each, key)]))
  }

  return { text, value: <Value>(value: Value) => walk(value, '') as Value }
}

const everywhere = (pattern: RegExp): RegExp =>
  pattern.global ? pattern : new RegExp(pattern.source, `${pattern.flags}g`)
