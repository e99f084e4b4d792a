import type { ModelInfo } from '../../capabilities/models/index.ts'
import { ModelFailure } from '../../capabilities/models/index.ts'
import type { Connection } from './connection.ts'

/** Models that are asked one by one what they can do; more are listed by name alone. */
const mostShown = 64
const shownAtOnce = 4

/** Pico-dollars in a dollar. */
const pico = 1e12

/** The models of `/models`, with what some servers add to OpenAI's bare names. */
export async function listModels(connection: Connection, signal: AbortSignal): Promise<readonly ModelInfo[]> {
  const answer = await connection.call((client, _, options) => client.get<unknown>('/models', options), signal)
  return entriesOf(answer, 'data').flatMap((entry) => {
    const name = textIn(entry, 'id')
    return name === undefined ? [] : [infoOf(name, entry)]
  })
}

function infoOf(name: string, entry: Fields): ModelInfo {
  const [top, architecture, pricing] = [
    fields(entry['top_provider']),
    fields(entry['architecture']),
    fields(entry['pricing']),
  ]
  const inputs = architecture['input_modalities']
  const takes = entry['supported_parameters']
  const [input, output] = [priceIn(pricing, 'prompt'), priceIn(pricing, 'completion')]
  const [cacheRead, cacheWrite] = [priceIn(pricing, 'input_cache_read'), priceIn(pricing, 'input_cache_write')]
  return {
    name,
    ...defined('contextTokens', countIn(entry, 'context_length') ?? countIn(entry, 'max_model_len')),
    ...defined('maxOutputTokens', countIn(top, 'max_completion_tokens')),
    ...(Array.isArray(inputs) ? { vision: inputs.includes('image') } : {}),
    ...(Array.isArray(takes)
      ? { tools: takes.includes('tools'), structuredOutput: takes.includes('structured_outputs') }
      : {}),
    ...(input === undefined || output === undefined
      ? {}
      : { price: { input, output, ...defined('cacheRead', cacheRead), ...defined('cacheWrite', cacheWrite) } }),
  }
}

/** The models of Ollama: its own list, then what each can do. */
export async function listOllama(
  connection: Connection,
  baseURL: string,
  signal: AbortSignal,
): Promise<readonly ModelInfo[]> {
  const { origin } = new URL(baseURL)
  const answer = await connection.call(
    (client, _, options) => client.get<unknown>(`${origin}/api/tags`, options),
    signal,
  )
  const names = entriesOf(answer, 'models').flatMap((entry) => textIn(entry, 'model') ?? textIn(entry, 'name') ?? [])
  const infos: ModelInfo[] = names.map((name) => ({ name }))
  const waiting = names.slice(0, mostShown).entries()
  const show = async () => {
    for (const [index, name] of waiting) {
      const body = { model: name }
      const shown = await connection
        .call((client, _, options) => client.post<unknown>(`${origin}/api/show`, { ...options, body }), signal)
        .catch(() => signal.throwIfAborted())
      if (shown !== undefined) infos[index] = shownBy(name, fields(shown))
    }
  }
  await Promise.all(Array.from({ length: shownAtOnce }, show))
  return infos
}

function shownBy(name: string, shown: Fields): ModelInfo {
  const able = shown['capabilities']
  const facts = fields(shown['model_info'])
  const length = Object.keys(facts).find((key) => key.endsWith('.context_length'))
  return {
    name,
    ...defined('contextTokens', length === undefined ? undefined : countIn(facts, length)),
    ...(Array.isArray(able) ? { tools: able.includes('tools'), vision: able.includes('vision') } : {}),
  }
}

type Fields = Readonly<Record<string, unknown>>

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})

function entriesOf(answer: unknown, name: string): readonly Fields[] {
  const list = fields(answer)[name]
  if (!Array.isArray(list)) throw new ModelFailure('malformed', 'the server did not answer with a list of models')
  return list.map(fields)
}

function textIn(entry: Fields, name: string): string | undefined {
  const value = entry[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function countIn(entry: Fields, name: string): number | undefined {
  const value = entry[name]
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined
}

/** Servers give dollars per token, as text; a negative price stands for one that varies. */
function priceIn(pricing: Fields, name: string): number | undefined {
  const value = pricing[name]
  const dollars = typeof value === 'string' && /^\d/.test(value) ? Number(value) : value
  return typeof dollars === 'number' && dollars >= 0 && dollars < 1 ? Math.round(dollars * pico) : undefined
}

const defined = <Name extends string, Value>(name: Name, value: Value | undefined) =>
  (value === undefined ? {} : { [name]: value }) as { readonly [N in Name]?: Value }
