import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { defineErrors, type HttpRequest } from '@keelson/core/http'
import { type NodeRequest, type NodeRequestOptions, type NodeResponse, nodeRequest } from '@keelson/core/node'

const payloadErrors = defineErrors({
  BODY_NOT_DECODED: { kind: 'bad_request', message: 'the body could not be decoded' },
})

/** A body as Fastify hands it to a parser: the request itself, or what a `preParsing` hook has made of it. */
export type Payload = Readable & {
  /** Set by hooks that decode, as Fastify asks them to. */
  readonly receivedEncodedLength?: number
}

/** A request whose body is read from the payload, when somebody asks for it. */
export function requestOver(
  raw: IncomingMessage,
  response: NodeResponse,
  payload: Payload,
  options: NodeRequestOptions,
): HttpRequest {
  if (payload === raw) return nodeRequest(raw, response, options)
  const request = nodeRequest(decoded(raw, payload), response, options)
  const bytes = async (limit: number): Promise<Uint8Array> => {
    try {
      return await request.bytes(limit)
    } catch (error) {
      // What goes on flowing would go on being decoded, and a few bytes can become very many.
      payload.pause()
      response.on('close', () => payload.destroy())
      throw payload.errored && !request.signal.aborted ? payloadErrors.BODY_NOT_DECODED() : error
    }
  }
  return { ...request, bytes }
}

function decoded(raw: IncomingMessage, payload: Payload): NodeRequest {
  const { 'content-length': _, ...headers } = raw.headers
  if (payload.receivedEncodedLength !== undefined) delete headers['content-encoding']
  return {
    method: raw.method,
    headers: { ...headers, 'transfer-encoding': 'chunked' },
    socket: raw.socket,
    get complete() {
      return raw.complete
    },
    get destroyed() {
      return payload.destroyed
    },
    get readableDidRead() {
      return payload.readableDidRead
    },
    on: (event, listener) => payload.on(event, listener),
    off: (event, listener) => payload.off(event, listener),
    resume: () => payload.resume(),
    destroy: () => raw.destroy(),
  }
}
