import { LLMock } from '@copilotkit/aimock'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

const llm = new LLMock({ port: 0 })
let url: string
let close: () => Promise<void>

beforeAll(async () => {
  llm.on(
    { userMessage: /Oslo/, hasToolResult: false },
    { toolCalls: [{ name: 'weather', arguments: { city: 'Oslo' } }] },
  )
  llm.on({ userMessage: /Oslo/, hasToolResult: true }, { content: 'Clear in Oslo.' })
  await llm.start()
  vi.stubEnv('DATABASE_FILE', ':memory:')
  vi.stubEnv('OPENAI_BASE_URL', `${llm.url}/v1`)
  vi.stubEnv('OPENAI_API_KEY', 'test')
  vi.stubEnv('AGENT_API_KEY', 'secret')
  const { app } = await import('../src/app.ts')
  url = await app.listen({ host: '127.0.0.1', port: 0 })
  close = () => app.close()
})

afterAll(async () => {
  await close()
  await llm.stop()
})

const ask = (path: string, headers: Record<string, string>) =>
  fetch(`${url}/ai/api/agent/message${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ content: 'Weather in Oslo?' }),
  })

test('the agent answers with the help of its tool', async () => {
  const response = await ask('', { 'x-api-key': 'secret' })
  expect(response.status).toBe(200)
  expect(await response.json()).toMatchObject({ content: 'Clear in Oslo.', model: 'openai/gpt-5-mini', react_turns: 2 })
})

test('the agent answers word by word', async () => {
  const response = await ask('/stream', { 'x-api-key': 'secret' })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  expect(await response.text()).toContain('data: ')
})

test('nobody gets in without the key', async () => {
  expect((await ask('', {})).status).toBe(401)
})

test('the routes of the host stay its own', async () => {
  expect(await (await fetch(url)).text()).toBe('The host is here.')
  expect(await (await fetch(`${url}/ai/nowhere`)).json()).toMatchObject({ message: 'Route GET:/ai/nowhere not found' })
})
