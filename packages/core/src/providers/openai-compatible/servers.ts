import type { WireOptions } from './request.ts'

/** Where a server departs from what most do. */
export interface OpenAICompatibleQuirks
  extends Partial<Pick<WireOptions, 'maxTokensField' | 'systemRole' | 'usage' | 'returnReasoning'>>,
    Partial<Pick<WireOptions, 'structuredOutput' | 'imageURLs' | 'extraBody'>> {
  /** Sent as `parallel_tool_calls` with tools. Left out unless given: some servers refuse it. */
  readonly parallelToolCalls?: boolean
  /** Fields of a piece that may hold thoughts, the likeliest first. */
  readonly reasoningFields?: readonly string[]
  /** What lists its models. @default 'models', as OpenAI does */
  readonly discovery?: 'models' | 'ollama'
}

interface Server {
  readonly baseURL: string
  /** True when it usually runs on the same machine and wants no key. */
  readonly local: boolean
  readonly quirks: OpenAICompatibleQuirks
}

/** Of a server that is not in the table. An address that a caller names is read only where nothing private is near. */
export const commonQuirks = {
  maxTokensField: 'max_tokens',
  systemRole: 'system',
  usage: 'stream_options',
  returnReasoning: null,
  structuredOutput: true,
  imageURLs: false,
  extraBody: {},
  reasoningFields: ['reasoning_content', 'reasoning'],
  discovery: 'models',
} as const satisfies OpenAICompatibleQuirks

/** Servers known by name, each by what its documentation says. */
export const servers = {
  ollama: {
    baseURL: 'http://127.0.0.1:11434/v1',
    local: true,
    quirks: { reasoningFields: ['reasoning', 'reasoning_content'], discovery: 'ollama' },
  },
  litellm: { baseURL: 'http://127.0.0.1:4000/v1', local: false, quirks: {} },
  openrouter: {
    baseURL: 'https://openrouter.ai/api/v1',
    local: false,
    quirks: {
      usage: 'usage',
      returnReasoning: 'reasoning',
      reasoningFields: ['reasoning', 'reasoning_content'],
      imageURLs: true,
    },
  },
  vllm: {
    baseURL: 'http://127.0.0.1:8000/v1',
    local: true,
    quirks: { maxTokensField: 'max_completion_tokens', reasoningFields: ['reasoning', 'reasoning_content'] },
  },
  lmstudio: { baseURL: 'http://127.0.0.1:1234/v1', local: true, quirks: {} },
} as const satisfies Readonly<Record<string, Server>>

export type OpenAICompatibleServer = keyof typeof servers
