import fastifyCompress from '@fastify/compress'
import { describeHttpAdapter, type HttpAdapterSetup } from '@keelson/conformance'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import { keelson } from '../src/index.ts'
import { hostApp, listen } from './host.ts'

const inside = (options: FastifyServerOptions, before?: (app: FastifyInstance) => unknown) => ({
  bodies: 'untouched' as const,
  serve: async ({ runtime, ...setup }: HttpAdapterSetup) =>
    listen(await hostApp(keelson(runtime, setup), options, before)),
})

describeHttpAdapter('Fastify 5', inside({}))
describeHttpAdapter(
  'Fastify 5 with a lenient router and a tiny body limit',
  inside({
    bodyLimit: 64 * 1024,
    routerOptions: { caseSensitive: false, ignoreDuplicateSlashes: true, ignoreTrailingSlash: true, maxParamLength: 1 },
  }),
)
describeHttpAdapter(
  'Fastify 5 that compresses and decompresses',
  inside({}, async (app) => app.register(fastifyCompress)),
)
