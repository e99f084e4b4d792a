import { defineAgent, defineTool } from '@keelson/core'
import { z } from 'zod'

const rooms = new Map([
  ['garden', 120],
  ['attic', 80],
])

export const bookings: string[] = []

const price = defineTool({
  name: 'price',
  description: 'Price of a room for one night in euros',
  input: z.object({ room: z.string() }),
  risk: 'safe',
  execute({ room }) {
    const euros = rooms.get(room)
    if (euros === undefined) throw new Error(`there is no room called ${room}`)
    return { room, euros }
  },
})

const book = defineTool({
  name: 'book',
  description: 'Books a room. Asks a person first.',
  input: z.object({ room: z.string(), nights: z.number().int().min(1) }),
  approval: 'always',
  execute({ room, nights }) {
    bookings.push(`${room} for ${nights}`)
    return 'booked'
  },
})

export const concierge = defineAgent({
  id: 'concierge',
  instructions: 'You answer guests of a small hotel. Look prices up, never guess them.',
  models: ['openai/gpt-5-mini', 'anthropic/claude-haiku-4-5'],
  tools: [price, book],
  maxOutputTokens: 1_000,
})
