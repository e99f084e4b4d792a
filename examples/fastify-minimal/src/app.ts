import { keelson } from '@keelson/adapter-fastify'
import { createRuntime, defineAgent, defineTool } from '@keelson/core'
import { openai } from '@keelson/core/providers/openai'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { sqliteStore } from '@keelson/store-sqlite'
import Fastify from 'fastify'
import { z } from 'zod'

const weather = defineTool({
  name: 'weather',
  description: 'Current weather of a city',
  input: z.object({ city: z.string() }),
  risk: 'safe',
  execute: async ({ city }) => ({ city, sky: 'clear' }),
})

const runtime = createRuntime({
  store: sqliteStore(process.env.DATABASE_FILE ?? 'app.db'),
  providers: [openai({ apiKey: process.env.OPENAI_API_KEY, baseURL: process.env.OPENAI_BASE_URL })],
  agents: [
    defineAgent({ id: 'concierge', instructions: 'You help.', models: ['openai/gpt-5-mini'], tools: [weather] }),
  ],
})

export const app = Fastify()
app.get('/', async () => 'The host is here.')
app.register(
  keelson(runtime, {
    mounts: [{ prefix: '/ai', surface: roboticus({ apiKey: process.env.AGENT_API_KEY }) }],
    stopWithHost: true,
  }),
)
