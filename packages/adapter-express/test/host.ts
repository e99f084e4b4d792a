import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express5, { type ErrorRequestHandler, type RequestHandler } from 'express'
import express4 from 'express4'

export async function listen(
  listener: RequestListener,
): Promise<{ server: Server; origin: string; close(): Promise<void> }> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    server,
    origin: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()))
        server.closeAllConnections()
      }),
  }
}

export type Express = typeof express5
export const versions: readonly [string, Express][] = [
  ['Express 4', express4],
  ['Express 5', express5],
]

const hostHeaders: RequestHandler = (_req, res, next) => {
  res.setHeader('x-host', 'host')
  res.setHeader('vary', 'Origin')
  res.setHeader('content-security-policy', "default-src 'self'")
  next()
}

const onError: ErrorRequestHandler = (error: Error, _req, res, _next) => {
  res.status(500).type('text').send(`host error: ${error.message}`)
}

/** An app around a handler, as the kit wants it. */
export function hostApp(express: Express, before: readonly RequestHandler[], mount: RequestHandler | undefined) {
  const app = express()
  app.use(hostHeaders)
  app.get('/host/before', (_req, res) => void res.type('text').send('before'))
  for (const each of before) app.use(each)
  if (mount) app.use(mount)
  app.get('/host/after', (_req, res) => void res.type('text').send('after'))
  app.get('/ai/host', (_req, res) => void res.type('text').send('host'))
  app.get('/host/throws', () => {
    throw new Error('boom')
  })
  app.post('/host/echo', express.json(), (req, res) => void res.json(req.body))
  app.use((_req, res) => void res.status(404).type('text').send('host: not found'))
  app.use(onError)
  return app
}
