import { describeHttpAdapter } from '@keelson/conformance'
import { createFetchHandler } from '../../src/http/fetch.ts'
import { serveFetch } from './fetch-server.ts'

const text = (body: string, status = 200) => new Response(body, { status })

async function host(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url)
  switch (`${request.method} ${pathname}`) {
    case 'GET /host/before':
      return text('before')
    case 'GET /host/after':
      return text('after')
    case 'GET /ai/host':
      return text('host')
    case 'GET /host/throws':
      return text('host error: boom', 500)
    case 'POST /host/echo':
      return Response.json(await request.json())
    default:
      return text('host: not found', 404)
  }
}

describeHttpAdapter('fetch', {
  bodies: 'untouched',
  resolvesPaths: true,
  serve: ({ runtime, authenticate, ...options }) =>
    serveFetch(
      createFetchHandler(runtime, {
        ...options,
        // The kit's host looks names up as Node's requests have them.
        authenticate: ({ headers }) => authenticate({ headers: Object.fromEntries(headers) }),
      }),
      host,
      (response) => response.setHeader('x-host', 'host').setHeader('vary', 'Origin'),
    ),
})
