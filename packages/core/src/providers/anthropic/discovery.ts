import type { Anthropic } from '@anthropic-ai/sdk'
import { ModelFailure, type ModelInfo } from '../../capabilities/models/index.ts'

/** A server that lists more goes on for ever. */
const mostPages = 10

/** The models that the key may use, with what the vendor says of each. */
export async function listModels(client: Anthropic, signal: AbortSignal): Promise<readonly ModelInfo[]> {
  const found: ModelInfo[] = []
  let after: string | undefined
  for (let page = 0; page < mostPages; page += 1) {
    const query = { limit: 1_000, ...(after === undefined ? {} : { after_id: after }) }
    const answer = fields(await client.get<unknown>('/v1/models', { query, signal }))
    const list = answer['data']
    if (!Array.isArray(list)) throw new ModelFailure('malformed', 'the server did not answer with a list of models')
    for (const entry of list.map(fields)) if (typeof entry['id'] === 'string') found.push(infoOf(entry['id'], entry))
    const last = answer['last_id']
    if (answer['has_more'] !== true || typeof last !== 'string' || last === after) break
    after = last
  }
  return found
}

function infoOf(name: string, entry: Fields): ModelInfo {
  const able = fields(entry['capabilities'])
  const [context, output] = [countIn(entry, 'max_input_tokens'), countIn(entry, 'max_tokens')]
  const [vision, structured] = [supported(able, 'image_input'), supported(able, 'structured_outputs')]
  return {
    name,
    ...(context === undefined ? {} : { contextTokens: context }),
    ...(output === undefined ? {} : { maxOutputTokens: output }),
    ...(vision === undefined ? {} : { vision }),
    ...(structured === undefined ? {} : { structuredOutput: structured }),
  }
}

type Fields = Readonly<Record<string, unknown>>

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})

function countIn(entry: Fields, name: string): number | undefined {
  const value = entry[name]
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined
}

function supported(able: Fields, name: string): boolean | undefined {
  const value = fields(able[name])['supported']
  return typeof value === 'boolean' ? value : undefined
}
