import { describeHttpAdapter, type HttpAdapterHost } from '@keelson/conformance'
import type { RequestHandler } from 'express'
import { keelson, verify } from '../src/index.ts'
import { hostApp, listen, versions } from './host.ts'

for (const [name, express] of versions) {
  const inside = (bodies: HttpAdapterHost['bodies'], before: readonly RequestHandler[]): HttpAdapterHost => ({
    bodies,
    serve: ({ runtime, ...options }) => listen(hostApp(express, before, keelson(runtime, options))),
  })
  describeHttpAdapter(`${name}, before a body parser`, inside('untouched', []))
  describeHttpAdapter(`${name}, behind express.json()`, inside('parsed', [express.json()]))
  describeHttpAdapter(
    `${name}, behind express.json({ verify })`,
    inside('parsed and kept', [express.json({ verify }), express.urlencoded({ extended: false })]),
  )
  describeHttpAdapter(`in front of ${name}`, {
    bodies: 'untouched',
    serve({ runtime, ...options }) {
      const handler = keelson(runtime, options)
      const app = hostApp(express, [], undefined)
      return listen((req, res) => {
        res.setHeader('x-host', 'host')
        res.setHeader('vary', 'Origin')
        handler(req, res, () => app(req, res))
      })
    },
  })
}
