import { scriptedModel } from '@keelson/core/testing'
import { describe, expect, it } from 'vitest'
import { mycelosServer, serveOn } from './mycelos-server.ts'

// Every test of the surface's routes, once more: what they say holds whatever the framework.
describe('on Fastify', async () => {
  serveOn('fastify')

  it('is where these tests run', async () => {
    await using server = await mycelosServer({ model: scriptedModel([]) })
    // The framework refuses such a path before anybody sees it, and says who it is.
    expect((await server.ask('GET', '/%zz')).text).toContain('FST_ERR_BAD_URL')
  })

  await import('./mycelos-access.test.ts')
  await import('./mycelos-agents.test.ts')
  await import('./mycelos-chat.test.ts')
  await import('./mycelos-commands.test.ts')
  await import('./mycelos-config.test.ts')
  await import('./mycelos-connectors.test.ts')
  await import('./mycelos-cost.test.ts')
  await import('./mycelos-input.test.ts')
  await import('./mycelos-isolation.test.ts')
  await import('./mycelos-knowledge.test.ts')
  await import('./mycelos-lists.test.ts')
  await import('./mycelos-permissions.test.ts')
  await import('./mycelos-routes.test.ts')
  await import('./mycelos-turns.test.ts')
})
