import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyServerOptions } from 'fastify'

/** Listens on a free port; closing does not wait for connections that are still open. */
export async function listen(app: FastifyInstance): Promise<{ origin: string; close(): Promise<void> }> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    async close() {
      app.server.closeAllConnections()
      await app.close()
    },
  }
}

/** An app around a plugin, as the kit wants it. */
export async function hostApp(
  plugin: FastifyPluginAsync,
  options: FastifyServerOptions = {},
  before: (app: FastifyInstance) => unknown = () => {},
): Promise<FastifyInstance> {
  const app = Fastify({ forceCloseConnections: true, ...options })
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers({ 'x-host': 'host', vary: 'Origin', 'content-security-policy': "default-src 'self'" })
  })
  app.setErrorHandler((error: Error, _request, reply) =>
    reply.code(500).type('text/plain').send(`host error: ${error.message}`),
  )
  app.setNotFoundHandler((_request, reply) => reply.code(404).type('text/plain').send('host: not found'))
  app.get('/host/before', async () => 'before')
  await before(app)
  await app.register(plugin)
  app.get('/host/after', async () => 'after')
  app.get('/ai/host', async () => 'host')
  app.get('/host/throws', async () => {
    throw new Error('boom')
  })
  app.post('/host/echo', async (request) => request.body)
  return app
}
