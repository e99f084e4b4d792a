import type { RequestListener } from 'node:http'
import { keelson } from '@keelson/adapter-fastify'
import type { Runtime } from '@keelson/core'
import Fastify from 'fastify'
import type { Guard } from './local-only.ts'
import type { ServerMounts } from './surfaces.ts'

export async function fastifyHost(runtime: Runtime, mounts: ServerMounts, guard: Guard): Promise<RequestListener> {
  const app = Fastify()
  app.addHook('onRequest', (request, reply, done) => {
    const refusal = guard(request.raw)
    if (refusal === null) return done()
    reply.code(refusal.status).headers(refusal.headers).serializer(String).send(refusal.body)
  })
  await app.register(keelson(runtime, { mounts }))
  await app.ready()
  return app.routing
}
