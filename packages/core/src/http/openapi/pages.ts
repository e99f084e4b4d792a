import { defineErrors } from '../../kernel/errors.ts'
import { statusOf } from '../errors.ts'
import { createRouteTable } from '../mounts.ts'
import type { AnyRoute, Mount, Surface } from '../surface.ts'
import { type OpenApiOptions, openapiOf } from './document.ts'

const pageErrors = defineErrors({
  SWAGGER_UI_MISSING: {
    kind: 'unavailable',
    message: 'swagger-ui-dist is not installed on the server; the document itself is at openapi.json',
  },
  FILE_UNKNOWN: { kind: 'not_found', message: 'not found' },
})

/** What the page needs, and no other file of the package. */
const files = { 'swagger-ui.css': 'text/css', 'swagger-ui-bundle.js': 'text/javascript' } as const

type FileName = keyof typeof files

const startScript = `const root = document.getElementById('swagger-ui')
SwaggerUIBundle({
  domNode: root,
  url: new URL(root.dataset.document, location.href).href,
  deepLinking: true,
  validatorUrl: null,
})
`

/**
 * A surface for the documentation of other mounts: `/openapi.json`, and `/swagger`, a page to read and try it. Open to
 * everybody who can reach it. The page needs the package `swagger-ui-dist`; without it, it answers 503.
 */
export function openapiSurface<Client>(mounts: readonly Mount<Client>[], options: OpenApiOptions): Surface<unknown> {
  let document: string | undefined
  // What cannot be mounted is refused at once, not when somebody reads about it.
  createRouteTable(mounts, options)
  const get = (path: string, summary: string, handle: AnyRoute<unknown>['handle']): AnyRoute<unknown> => ({
    method: 'GET',
    path,
    section: 'Documentation',
    summary,
    open: true,
    response: anything,
    handle,
  })

  return {
    id: 'openapi',
    bodyLimit: 0,
    headers: {
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    },
    authenticate: () => null,
    encodeError: (error) => ({ status: statusOf(error), body: { error: error.message } }),
    routes: [
      get('/openapi.json', 'The OpenAPI document', () => {
        document ??= JSON.stringify(openapiOf(mounts, options))
        return { text: document, type: 'application/json' }
      }),
      get('/swagger', 'The documentation as a page', async ({ request }) => {
        await folderOfSwagger()
        // Addresses are relative, so that the page works below any mount point of the host.
        const here = request.path.endsWith('/') ? '..' : '.'
        return { text: page(options.title, here), type: 'text/html; charset=utf-8' }
      }),
      get('/swagger/:file', 'A file of the page', async ({ params: { file = '' } }) => {
        if (file === 'start.js') return { text: startScript, type: 'text/javascript; charset=utf-8' }
        if (!isFileName(file)) throw pageErrors.FILE_UNKNOWN()
        return {
          text: await readSwagger(file),
          type: `${files[file]}; charset=utf-8`,
          headers: { 'cache-control': 'public, max-age=3600' },
        }
      }),
    ],
  }
}

const anything: AnyRoute<unknown>['response'] = {
  '~standard': { version: 1, vendor: 'keelson', validate: (value) => ({ value }) },
}

const isFileName = (name: string): name is FileName => Object.hasOwn(files, name)

const page = (title: string, here: string): string => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${escapeHtml(title)}</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="${here}/swagger/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui" data-document="${here}/openapi.json"></div>
    <script src="${here}/swagger/swagger-ui-bundle.js"></script>
    <script src="${here}/swagger/start.js"></script>
  </body>
</html>
`

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** Throws `SWAGGER_UI_MISSING`. */
async function folderOfSwagger(): Promise<string> {
  const [{ createRequire }, { dirname }] = await Promise.all([import('node:module'), import('node:path')])
  try {
    return dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
  } catch (cause) {
    throw pageErrors.SWAGGER_UI_MISSING({ cause })
  }
}

async function readSwagger(file: FileName): Promise<string> {
  const folder = await folderOfSwagger()
  const [{ readFile }, { join }] = await Promise.all([import('node:fs/promises'), import('node:path')])
  try {
    return await readFile(join(folder, file), 'utf8')
  } catch (cause) {
    throw pageErrors.SWAGGER_UI_MISSING({ cause })
  }
}
