import type { ModelMessage, ModelPart, ModelRequest, Part, Usage } from '@keelson/core'

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

/** An answer as the loop keeps it: thoughts, text, calls. */
export function asAnswered(parts: readonly ModelPart[]): ModelMessage {
  const thoughts: Part[] = []
  const calls: Part[] = []
  let [text, thought] = ['', '']
  for (const part of parts) {
    if (part.type === 'text') text += part.text
    else if (part.type === 'tool-call') calls.push(part)
    else if (part.type === 'reasoning') {
      thought += part.text
      if (part.state === undefined) continue
      thoughts.push({ type: 'reasoning', text: thought, state: part.state })
      thought = ''
    }
  }
  const said: Part[] = text === '' ? [] : [{ type: 'text', text }]
  return { role: 'assistant', parts: [...thoughts, ...said, ...calls] }
}
