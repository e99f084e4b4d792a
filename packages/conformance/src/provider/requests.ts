import type { ModelMessage, ModelRequest, Usage } from '@keelson/core'

/** What fake servers count: every bucket has a number of its own. */
export const usage: Usage = { input: 900, cacheRead: 100, cacheWrite: 0, output: 37, reasoning: 13 }

const user = (text: string): ModelMessage => ({ role: 'user', parts: [{ type: 'text', text }] })

/** A first message, with words no provider would say by itself. */
export const request: ModelRequest = {
  instructions: 'kit-instructions',
  messages: [user('kit-question')],
  tools: [{ name: 'kit_lookup', description: 'kit-description', parameters: { type: 'object', properties: {} } }],
  maxOutputTokens: 321,
}

/** A history with reasoning, parallel calls, broken arguments and a failed tool. */
export const conversation: readonly ModelMessage[] = [
  user('kit-first'),
  {
    role: 'assistant',
    parts: [
      { type: 'reasoning', text: 'kit-reasoning' },
      { type: 'text', text: 'kit-reply' },
      { type: 'tool-call', call: 'kit-call-1', tool: 'kit_lookup', arguments: '{"key":"kit-argument"}' },
      { type: 'tool-call', call: 'kit-call-2', tool: 'kit_lookup', arguments: '{broken' },
    ],
  },
  {
    role: 'tool',
    parts: [
      { type: 'tool-result', call: 'kit-call-1', tool: 'kit_lookup', output: { found: 'kit-output' } },
      { type: 'tool-result', call: 'kit-call-2', tool: 'kit_lookup', output: 'kit-problem', isError: true },
    ],
  },
  user('kit-last'),
]
