import type { ModelInfo } from '../../capabilities/models/index.ts'

/** A line of the table: context, most output, and which names share them. Sizes in tokens. */
type Line = readonly [contextTokens: number, maxOutputTokens: number, names: readonly string[]]

/** From the model pages of OpenAI's documentation. Prices change more often and come from elsewhere. */
const lines: readonly Line[] = [
  [1_050_000, 128_000, ['gpt-6-astra', 'gpt-6.1-sol', 'gpt-6.1-terra', 'gpt-6-sol', 'gpt-6-luna']],
  [1_050_000, 128_000, ['gpt-5.6-sol', 'gpt-5.6-terra', 'gpt-5.6-luna', 'gpt-5.5', 'gpt-5.4']],
  [400_000, 128_000, ['gpt-5.4-mini', 'gpt-5.4-nano', 'gpt-5.2', 'gpt-5.1', 'gpt-5', 'gpt-5-mini', 'gpt-5-nano']],
  [200_000, 100_000, ['o3', 'o4-mini']],
  [1_047_576, 32_768, ['gpt-4.1', 'gpt-4.1-mini', 'gpt-4.1-nano']],
  [128_000, 16_384, ['gpt-4o', 'gpt-4o-mini']],
]

const known: readonly ModelInfo[] = lines.flatMap(([contextTokens, maxOutputTokens, names]) =>
  names.map((name) => ({ name, contextTokens, maxOutputTokens, tools: true, vision: true, structuredOutput: true })),
)

/** The table, with what the host knows better, and its own models. */
export function openaiModels(own: readonly ModelInfo[]): readonly ModelInfo[] {
  const models = new Map(known.map((info) => [info.name, info]))
  for (const info of own) models.set(info.name, { ...models.get(info.name), ...info })
  return [...models.values()]
}

/** Models before reasoning refuse to be asked for it; reasoning ones refuse a temperature. New names are the latter. */
export const isReasoningModel = (name: string): boolean =>
  !/^(?:ft:)?(?:gpt-3|gpt-4|chatgpt-)/.test(name) && !/-chat-latest$/.test(name)
