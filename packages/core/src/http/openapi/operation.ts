import type { KeelsonError } from '../../kernel/errors.ts'
import type { Json, JsonObject } from '../../kernel/json.ts'
import { httpErrors } from '../errors.ts'
import type { AnyRoute, Surface } from '../surface.ts'
import { capitalized } from './names.ts'
import type { Schemas } from './schemas.ts'

export interface OpenApiOperation {
  readonly operationId: string
  readonly summary: string
  readonly tags: readonly string[]
  readonly security: readonly JsonObject[]
  readonly parameters?: readonly JsonObject[]
  readonly requestBody?: JsonObject
  /** By status. */
  readonly responses: Readonly<Record<string, JsonObject>>
  /** The system serves it without documenting it. */
  readonly 'x-beyond-document'?: true
  /** Schema of the text frames that a WebSocket's server sends. */
  readonly 'x-websocket-frames'?: JsonObject
}

interface Described<Client> {
  readonly route: AnyRoute<Client>
  readonly surface: Surface<Client>
  /** The path with its parameters in braces. */
  readonly template: string
  readonly name: string
  readonly tag: string
  readonly security: readonly JsonObject[]
  readonly schemas: Schemas
}

export function describeRoute<Client>(described: Described<Client>): OpenApiOperation {
  const { name, route, schemas, security, tag, template } = described
  const pathParameters = [...template.matchAll(/\{(\w+)\}/g)].map(([, parameter = '']) => ({
    name: parameter,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const parameters = [...pathParameters, ...queryParameters(described)]
  const component = capitalized(name)
  const frames = route.socket ? schemas.of(route.response, 'output', `${component}Frame`) : undefined
  return {
    operationId: name,
    summary: route.summary,
    tags: [tag],
    security,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body
      ? {
          requestBody: {
            required: route.bodyOptional !== true,
            content: contentOf(schemas.of(route.body, 'input', `${component}Body`)),
          },
        }
      : {}),
    responses: { ...success(described, component), ...failures(described, pathParameters.length > 0) },
    ...(route.beyondDocument ? { 'x-beyond-document': true } : {}),
    ...(frames ? { 'x-websocket-frames': frames } : {}),
  }
}

const contentOf = (schema: JsonObject, type = 'application/json'): JsonObject => ({ [type]: { schema } })

function queryParameters<Client>({ name, route, schemas }: Described<Client>): readonly JsonObject[] {
  if (!route.query) return []
  const schema = schemas.inline(route.query, 'input', `${capitalized(name)}Query`)
  const properties = schema['properties']
  if (!isObject(properties)) {
    // Every key that such a schema admits is a parameter of its own.
    return Object.keys(schema).length === 0
      ? []
      : [{ name: 'query', in: 'query', style: 'form', explode: true, schema }]
  }
  const required = schema['required']
  return Object.entries(properties).map(([parameter, property]) => ({
    name: parameter,
    in: 'query',
    required: Array.isArray(required) && required.includes(parameter),
    schema: property,
  }))
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function success<Client>({ route, schemas }: Described<Client>, component: string): Record<string, JsonObject> {
  if (route.socket) {
    return {
      101: { description: 'The connection speaks WebSocket from here on' },
      426: { description: 'The request did not ask for a WebSocket' },
    }
  }
  if (route.stream) {
    const schema = schemas.of(route.response, 'output', `${component}Frame`)
    const description = 'Server-sent events; the schema is that of the JSON in each `data`'
    return { 200: { description, content: { 'text/event-stream': { schema } } } }
  }
  const schema = schemas.of(route.response, 'output', `${component}Response`)
  return { 200: { description: 'The answer', content: contentOf(schema, route.page ? 'text/html' : undefined) } }
}

/** The failures that any route of its sort can have, under the status that the surface gives them, and all others. */
function failures<Client>(
  { route, schemas, security, surface }: Described<Client>,
  hasPathParameters: boolean,
): Record<string, JsonObject> {
  const possible: KeelsonError[] = [
    ...(security.length === 0 ? [] : [httpErrors.UNAUTHENTICATED()]),
    ...(hasPathParameters ? [httpErrors.NOT_FOUND()] : []),
    ...(route.query ? [httpErrors.INVALID_QUERY()] : []),
    ...(route.body
      ? [
          httpErrors.MALFORMED_JSON(),
          httpErrors.BODY_TOO_LARGE(),
          httpErrors.UNSUPPORTED_MEDIA_TYPE(),
          httpErrors.INVALID_BODY(),
        ]
      : []),
  ]
  const schema = schemas.of(surface.errorSchema, 'output', `${capitalized(surface.id)}Error`)
  // Before the upgrade a route may answer in plain text.
  const content = route.socket ? {} : { content: contentOf(schema) }
  const responses: Record<string, JsonObject> = {}
  for (const error of possible) {
    const { status } = surface.encodeError(error)
    // Where a surface answers failures with 200, they are described with its answers.
    if (status >= 400) responses[status] ??= { description: sentence(error.message), ...content }
  }
  return { ...responses, default: { description: 'Any other failure', ...content } }
}

const sentence = (text: string): string => capitalized(text)
