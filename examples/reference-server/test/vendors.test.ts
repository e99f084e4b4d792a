import { join } from 'node:path'
import { LLMock } from '@copilotkit/aimock'
import { afterEach, describe, expect, test } from 'vitest'
import { type Environment, readConfig } from '../src/config.ts'
import { startServer } from '../src/server.ts'
import { ask, scratch } from './running-server.ts'

const mocks: LLMock[] = []
afterEach(async () => {
  await Promise.all(mocks.splice(0).map((mock) => mock.stop()))
})

async function mocked(model: string): Promise<LLMock> {
  const mock = new LLMock({ port: 0, logLevel: 'silent' })
  mocks.push(mock)
  const arguments_ = '{"expression":"2^4"}'
  mock.on({ model, hasToolResult: false }, { toolCalls: [{ name: 'calculator', arguments: arguments_ }] })
  mock.on({ model, hasToolResult: true }, { content: 'It is 16.' })
  await mock.start()
  return mock
}

/** Asks a server with this environment something that needs a tool. */
async function answerOf(environment: Environment): Promise<{ readonly model: string; readonly content: unknown }> {
  await using folder = await scratch()
  const log: string[] = []
  const config = readConfig({ PORT: '0', KEELSON_DB: join(folder.path, 'keelson.db'), ...environment })
  const server = await startServer(config, (line) => log.push(line))
  try {
    const answered = await ask(server.url, 'POST', '/api/agent/message', { body: { content: 'Make sixteen' } })
    expect(log).toEqual([])
    return { model: server.model, content: answered.json.content }
  } finally {
    await server.close()
  }
}

describe('the same question is answered', () => {
  test.each(['responses', 'chat'])('by OpenAI’s API %s', async (api) => {
    const mock = await mocked('gpt-5-mini')
    const environment = { OPENAI_API_KEY: 'sk-1', OPENAI_BASE_URL: `${mock.url}/v1`, OPENAI_API: api }
    expect(await answerOf(environment)).toEqual({ model: 'openai/gpt-5-mini', content: 'It is 16.' })
    const path = api === 'chat' ? '/v1/chat/completions' : '/v1/responses'
    const posts = mock.getRequests().filter(({ method }) => method === 'POST')
    expect(posts.map(({ path }) => path)).toEqual([path, path])
  })

  test('by the first model that Ollama has', async () => {
    const mock = await mocked('qwen3:8b')
    expect(await answerOf({ OLLAMA_HOST: mock.url })).toEqual({ model: 'ollama/qwen3:8b', content: 'It is 16.' })
  })

  test('by the model of Ollama that is named', async () => {
    const mock = await mocked('other:1b')
    const environment = { OLLAMA_HOST: new URL(mock.url).host, KEELSON_MODEL: 'ollama/other:1b' }
    expect(await answerOf(environment)).toEqual({ model: 'ollama/other:1b', content: 'It is 16.' })
  })
})

test('an Ollama that is not there is named at start', async () => {
  await expect(answerOf({ OLLAMA_HOST: '127.0.0.1:9' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('ollama does not list its models'),
  })
})
