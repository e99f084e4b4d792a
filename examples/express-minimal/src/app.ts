import { keelson } from '@keelson/adapter-express'
import { createRuntime, defineAgent, defineTool } from '@keelson/core'
import { openai } from '@keelson/core/providers/openai'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { sqliteStore } from '@keelson/store-sqlite'
import express from 'express'
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

export const app = express()
app.get('/', (_request, response) => response.send('The host is here.'))
app.use(keelson(runtime, { mounts: [{ prefix: '/ai', surface: roboticus({ apiKey: process.env.AGENT_API_KEY }) }] }))
