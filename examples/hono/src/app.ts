import { createRuntime, defineAgent, defineTool } from '@keelson/core'
import { createFetchHandler } from '@keelson/core/fetch'
import { openai } from '@keelson/core/providers/openai'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { sqliteStore } from '@keelson/store-sqlite'
import { Hono } from 'hono'
import { z } from 'zod'

const weather = defineTool({
  name: 'weather',
  description: 'Current weather of a city',
  input: z.object({ city: z.string() }),
  risk: 'safe',
  execute: async ({ city }) => ({ city, sky: 'clear' }),
})

export const runtime = createRuntime({
  store: sqliteStore(process.env.DATABASE_FILE ?? 'app.db'),
  providers: [openai({ apiKey: process.env.OPENAI_API_KEY, baseURL: process.env.OPENAI_BASE_URL })],
  agents: [
    defineAgent({ id: 'concierge', instructions: 'You help.', models: ['openai/gpt-5-mini'], tools: [weather] }),
  ],
})

const agents = createFetchHandler(runtime, {
  mounts: [{ prefix: '/ai', surface: roboticus({ apiKey: process.env.AGENT_API_KEY }) }],
})

export const app = new Hono()
app.get('/', (context) => context.text('The host is here.'))
app.all('/ai/*', (context) => agents(context.req.raw) ?? context.notFound())
