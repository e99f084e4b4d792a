import type { RequestListener } from 'node:http'
import { keelson } from '@keelson/adapter-express'
import type { Client, Runtime } from '@keelson/core'
import type { Mount, MountRules } from '@keelson/core/http'
import express from 'express'
import type { Guard } from './local-only.ts'

export async function expressHost(
  runtime: Runtime,
  mounts: readonly Mount<Client>[],
  rules: MountRules,
  guard: Guard,
): Promise<RequestListener> {
  const app = express()
  app.disable('x-powered-by')
  app.use((request, response, next) => {
    const refusal = guard(request)
    if (refusal === null) return next()
    response.writeHead(refusal.status, refusal.headers)
    response.end(refusal.body)
  })
  app.use(keelson(runtime, { mounts, ...rules }))
  return app
}
