import type { RequestListener } from 'node:http'
import { keelson } from '@keelson/adapter-fastify'
import type { Client, Runtime } from '@keelson/core'
import type { Mount, MountRules } from '@keelson/core/http'
import Fastify, { type FastifyReply } from 'fastify'
import type { Guard } from './local-only.ts'

export async function fastifyHost(
  runtime: Runtime,
  mounts: readonly Mount<Client>[],
  rules: MountRules,
  guard: Guard,
): Promise<RequestListener> {
  const app = Fastify({
    // A path with a broken escape gets no further than this.
    frameworkErrors: (_error, _request, reply) => invalidPath(reply as FastifyReply),
  })
  app.addHook('onRequest', (request, reply, done) => {
    const refusal = guard(request.raw)
    if (refusal === null) return done()
    reply.code(refusal.status).headers(refusal.headers).serializer(String).send(refusal.body)
  })
  await app.register(keelson(runtime, { mounts, ...rules }))
  await app.ready()
  return app.routing
}

function invalidPath(reply: FastifyReply): void {
  reply.code(400).send({ error: 'the path is not valid' })
}
