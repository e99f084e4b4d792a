import { describeProvider } from '../../../conformance/src/provider.ts'
import { openai } from '../../src/providers/openai.ts'
import { chatWire, responsesWire, secret } from './fake-openai.ts'

describeProvider('openai, by its Responses API', {
  model: 'gpt-kit',
  secret,
  provider: (origin) => openai({ baseURL: `${origin}/v1`, apiKey: secret }),
  wire: responsesWire,
  usage: { input: 900, cacheRead: 100, cacheWrite: 50, output: 37, reasoning: 13 },
  reasoning: 'state',
  images: 'data-and-url',
  output: true,
  aimock: {},
})

describeProvider('openai, by its Chat Completions', {
  model: 'gpt-kit',
  secret,
  provider: (origin) => openai({ baseURL: `${origin}/v1`, apiKey: secret, api: 'chat' }),
  wire: chatWire,
  usage: { input: 900, cacheRead: 100, cacheWrite: 50, output: 37, reasoning: 13 },
  images: 'data-and-url',
  output: true,
  aimock: {},
})
