import { scriptedModel } from '@keelson/core/testing'
import { describe, expect, it } from 'vitest'
import { roboticusServer, serveOn } from './roboticus-server.ts'

// Every test of the surface's routes, once more: what they say holds whatever the framework.
describe('on Fastify', async () => {
  serveOn('fastify')

  it('is where these tests run', async () => {
    await using server = await roboticusServer({ model: scriptedModel([]) })
    // The framework refuses such a path before anybody sees it, and says who it is.
    expect((await server.ask('GET', '/%zz')).text).toContain('FST_ERR_BAD_URL')
  })

  await import('./roboticus-access.test.ts')
  await import('./roboticus-approvals.test.ts')
  await import('./roboticus-config.test.ts')
  await import('./roboticus-breakers.test.ts')
  await import('./roboticus-input.test.ts')
  await import('./roboticus-message.test.ts')
  await import('./roboticus-models.test.ts')
  await import('./roboticus-observatory.test.ts')
  await import('./roboticus-repeat.test.ts')
  await import('./roboticus-routes.test.ts')
  await import('./roboticus-sessions.test.ts')
  await import('./roboticus-stats.test.ts')
  await import('./roboticus-stream.test.ts')
})
