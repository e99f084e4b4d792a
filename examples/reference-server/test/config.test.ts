import { describe, expect, test } from 'vitest'
import { type Environment, isLoopback, readConfig } from '../src/config.ts'

const defaults = {
  host: '127.0.0.1',
  port: 3210,
  framework: 'express',
  database: 'keelson.db',
  allowProcesses: false,
  vaultKey: undefined,
  surfaces: ['roboticus', 'mycelos'],
  auth: 'loopback',
  apiKey: undefined,
  password: undefined,
  model: 'demo/demo',
  vendors: {},
}

describe('what is left out has a default', () => {
  test('nothing set at all', () => {
    expect(readConfig({})).toEqual(defaults)
  })

  test('everything set to nothing', () => {
    const names = ['HOST', 'PORT', 'OPENAI_API_KEY', 'OPENAI_BASE_URL', 'OPENAI_API', 'OLLAMA_HOST']
    const own = ['FRAMEWORK', 'DB', 'SURFACES', 'AUTH', 'API_KEY', 'MODEL', 'ALLOW_PROCESSES'].map(
      (name) => `KEELSON_${name}`,
    )
    expect(readConfig(Object.fromEntries([...names, ...own].map((name) => [name, ''])))).toEqual(defaults)
  })
})

describe('what is set counts', () => {
  test.each<[Environment, object]>([
    [{ HOST: 'localhost' }, { host: 'localhost', auth: 'loopback' }],
    [{ HOST: '127.1.2.3' }, { host: '127.1.2.3', auth: 'loopback' }],
    [{ HOST: '::1' }, { host: '::1', auth: 'loopback' }],
    [{ HOST: '[::1]' }, { host: '::1', auth: 'loopback' }],
    [{ PORT: '0' }, { port: 0 }],
    [{ PORT: '65535' }, { port: 65_535 }],
    [{ KEELSON_FRAMEWORK: 'express' }, { framework: 'express' }],
    [{ KEELSON_FRAMEWORK: 'fastify' }, { framework: 'fastify' }],
    [{ KEELSON_DB: ':memory:' }, { database: ':memory:' }],
    [{ KEELSON_DB: '/var/data/app.db' }, { database: '/var/data/app.db' }],
    [
      { KEELSON_ALLOW_PROCESSES: '1', KEELSON_VAULT_KEY: 'ab'.repeat(32) },
      { allowProcesses: true, vaultKey: 'ab'.repeat(32) },
    ],
    [{ KEELSON_SURFACES: 'roboticus' }, { surfaces: ['roboticus'] }],
    [{ KEELSON_SURFACES: ' roboticus , roboticus' }, { surfaces: ['roboticus'] }],
    [{ KEELSON_SURFACES: 'mycelos' }, { surfaces: ['mycelos'] }],
    [{ KEELSON_AUTH: 'loopback' }, { auth: 'loopback' }],
    [{ KEELSON_PASSWORD: 'p1' }, { auth: 'required', password: 'p1' }],
    [
      { HOST: '0.0.0.0', KEELSON_AUTH: 'required', KEELSON_PASSWORD: 'p1' },
      { host: '0.0.0.0', auth: 'required', password: 'p1' },
    ],
    [{ KEELSON_API_KEY: 'k1' }, { auth: 'required', apiKey: 'k1' }],
    [
      { KEELSON_AUTH: 'required', KEELSON_API_KEY: 'k1' },
      { auth: 'required', apiKey: 'k1' },
    ],
    [
      { HOST: '0.0.0.0', KEELSON_AUTH: 'required', KEELSON_API_KEY: 'k1' },
      { host: '0.0.0.0', auth: 'required', apiKey: 'k1' },
    ],
    [
      { OPENAI_API_KEY: 'sk-1' },
      { model: 'openai/gpt-5-mini', vendors: { openai: { apiKey: 'sk-1', api: 'responses' } } },
    ],
    [
      { OPENAI_BASE_URL: 'http://127.0.0.1:8000/v1', OPENAI_API: 'chat' },
      { model: 'openai/gpt-5-mini', vendors: { openai: { baseURL: 'http://127.0.0.1:8000/v1', api: 'chat' } } },
    ],
    [
      { ANTHROPIC_API_KEY: 'sk-2' },
      { model: 'anthropic/claude-sonnet-5-5', vendors: { anthropic: { apiKey: 'sk-2' } } },
    ],
    [
      { ANTHROPIC_BASE_URL: 'http://127.0.0.1:4010', KEELSON_MODEL: 'anthropic/claude-haiku-4-5' },
      { model: 'anthropic/claude-haiku-4-5', vendors: { anthropic: { baseURL: 'http://127.0.0.1:4010' } } },
    ],
    [{ OPENAI_API_KEY: 'sk-1', ANTHROPIC_API_KEY: 'sk-2' }, { model: 'openai/gpt-5-mini' }],
    [{ OLLAMA_HOST: '127.0.0.1' }, { model: null, vendors: { ollama: { baseURL: 'http://127.0.0.1:11434/v1' } } }],
    [{ OLLAMA_HOST: '0.0.0.0:8080' }, { vendors: { ollama: { baseURL: 'http://127.0.0.1:8080/v1' } } }],
    [{ OLLAMA_HOST: 'https://gpu.example.org/' }, { vendors: { ollama: { baseURL: 'https://gpu.example.org/v1' } } }],
    [{ OLLAMA_HOST: 'gpu', KEELSON_MODEL: 'ollama/qwen3:8b' }, { model: 'ollama/qwen3:8b' }],
    [{ OLLAMA_HOST: 'gpu', OPENAI_API_KEY: 'sk-1' }, { model: 'openai/gpt-5-mini' }],
    [{ OPENAI_API_KEY: 'sk-1', KEELSON_MODEL: 'openai/org/model:8b' }, { model: 'openai/org/model:8b' }],
    [{ OPENAI_API_KEY: 'sk-1', KEELSON_MODEL: 'demo/demo' }, { model: 'demo/demo' }],
  ])('%j', (environment, expected) => {
    expect(readConfig(environment)).toMatchObject(expected)
  })
})

const secret = 'hunter2-secret'

describe('what is wrong is refused in one line that names it', () => {
  test.each<[Environment, string]>([
    [{ HOST: 'a b' }, 'HOST'],
    [{ HOST: 'http://x' }, 'HOST'],
    [{ PORT: 'abc' }, 'PORT'],
    [{ PORT: '65536' }, 'PORT'],
    [{ PORT: '-1' }, 'PORT'],
    [{ PORT: '80.5' }, 'PORT'],
    [{ PORT: '1e3' }, 'PORT'],
    [{ PORT: ' 80' }, 'PORT'],
    [{ KEELSON_FRAMEWORK: 'koa' }, 'KEELSON_FRAMEWORK'],
    [{ KEELSON_FRAMEWORK: 'Express' }, 'KEELSON_FRAMEWORK'],
    [{ KEELSON_DB: `postgres://user:${secret}@db:x/x` }, 'not a valid postgres:// address'],
    [{ KEELSON_DB: `mysql://user:${secret}@db/x` }, 'a postgres:// address'],
    [{ KEELSON_DB: `mysql://user:${secret}@db/x` }, 'KEELSON_DB'],
    [{ KEELSON_DB: 'folder/' }, 'KEELSON_DB'],
    [{ KEELSON_SURFACES: 'nothing' }, 'KEELSON_SURFACES'],
    [{ KEELSON_SURFACES: 'roboticus,' }, 'KEELSON_SURFACES'],
    [{ KEELSON_SURFACES: 'roboticus,toString' }, 'KEELSON_SURFACES'],
    [{ KEELSON_AUTH: 'none' }, 'KEELSON_AUTH'],
    [{ KEELSON_AUTH: 'required' }, 'KEELSON_API_KEY'],
    [{ KEELSON_AUTH: 'loopback', KEELSON_API_KEY: secret }, 'KEELSON_API_KEY'],
    [{ KEELSON_API_KEY: `${secret} with spaces` }, 'KEELSON_API_KEY'],
    [{ KEELSON_API_KEY: `${secret}\n` }, 'KEELSON_API_KEY'],
    [{ HOST: '0.0.0.0' }, 'KEELSON_AUTH=required'],
    [{ HOST: '::' }, 'KEELSON_AUTH=required'],
    [{ HOST: 'example.org', KEELSON_AUTH: 'loopback' }, 'KEELSON_AUTH=required'],
    [{ HOST: '0.0.0.0', KEELSON_AUTH: 'required' }, 'KEELSON_API_KEY'],
    [{ HOST: '0.0.0.0', KEELSON_API_KEY: secret }, 'KEELSON_AUTH=required'],
    [{ OPENAI_API_KEY: `${secret}\n` }, 'OPENAI_API_KEY'],
    [{ OPENAI_BASE_URL: 'not a url' }, 'OPENAI_BASE_URL'],
    [{ OPENAI_BASE_URL: 'ftp://x' }, 'OPENAI_BASE_URL'],
    [{ OPENAI_BASE_URL: `http://user:${secret}@x/v1` }, 'OPENAI_BASE_URL'],
    [{ KEELSON_ALLOW_PROCESSES: 'yes' }, 'KEELSON_ALLOW_PROCESSES'],
    [{ OPENAI_API_KEY: 'sk', OPENAI_API: 'assistants' }, 'OPENAI_API must be'],
    [{ OLLAMA_HOST: 'a b' }, 'OLLAMA_HOST'],
    [{ OLLAMA_HOST: `http://user:${secret}@gpu` }, 'OLLAMA_HOST'],
    [{ KEELSON_MODEL: 'ollama/qwen3' }, 'OLLAMA_HOST'],
    [{ KEELSON_MODEL: 'gpt-5-mini' }, 'KEELSON_MODEL'],
    [{ KEELSON_MODEL: 'demo/other' }, 'KEELSON_MODEL'],
    [{ KEELSON_MODEL: 'mistral/large' }, 'KEELSON_MODEL'],
    [{ KEELSON_MODEL: 'anthropic/claude' }, 'ANTHROPIC_API_KEY'],
    [{ KEELSON_MODEL: 'anthropic/claude', OPENAI_API_KEY: 'sk' }, 'ANTHROPIC_API_KEY'],
    [{ KEELSON_MODEL: 'anthropic/', ANTHROPIC_API_KEY: 'sk' }, 'KEELSON_MODEL'],
    [{ ANTHROPIC_API_KEY: `${secret}\n` }, 'ANTHROPIC_API_KEY'],
    [{ ANTHROPIC_BASE_URL: 'not a url' }, 'ANTHROPIC_BASE_URL'],
    [{ ANTHROPIC_BASE_URL: `http://user:${secret}@x` }, 'ANTHROPIC_BASE_URL'],
    [{ KEELSON_MODEL: 'openai/gpt-5-mini' }, 'OPENAI_API_KEY'],
    [{ KEELSON_MODEL: 'openai/', OPENAI_API_KEY: 'sk' }, 'KEELSON_MODEL'],
  ])('%j', (environment, named) => {
    const refusal = expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(named) })
    expect(() => readConfig(environment)).toThrowError(refusal)
    try {
      readConfig(environment)
    } catch (error) {
      expect(String(error)).not.toContain(secret)
      expect(String(error)).not.toContain('\n')
    }
  })
})

test.each([
  ['127.0.0.1', true],
  ['LOCALHOST', true],
  ['::1', true],
  ['128.0.0.1', false],
  ['127.0.0.1.example.org', false],
  ['127.evil.example', false],
  ['0.0.0.0', false],
  ['::', false],
])('%s is loopback: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected)
})
