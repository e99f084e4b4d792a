import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { HttpResponse } from '@keelson/core/http'
import { sendableHeaders } from '@keelson/core/node'
import type { FastifyReply } from 'fastify'
import { readableOf } from './readable.ts'

/**
 * Sends a response through the host's hooks and keeps the headers that the host has set, except those it replaces. Never
 * throws; `report` is told what the response itself made impossible.
 */
export function sendAnswer(reply: FastifyReply, response: HttpResponse, report: (error: unknown) => void): void {
  if (reply.sent || reply.raw.headersSent || reply.raw.destroyed) return
  try {
    if (prepare(reply, response, report)) send(reply, response.body)
    else reply.code(500).send()
  } catch (error) {
    report(error)
    reply.raw.destroy()
  }
}

/** False when the response cannot be sent. Checked beforehand, since Fastify hands such errors to the host's handler. */
function prepare(reply: FastifyReply, response: HttpResponse, report: (error: unknown) => void): boolean {
  const { status } = response
  const headers = sendableHeaders(response.headers, reply.request.raw.httpVersionMajor)
  try {
    for (const [name, value] of Object.entries(headers)) {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    }
    reply.code(status)
  } catch (error) {
    report(error)
    return false
  }
  const [host, own] = [reply.getHeader('vary'), headers['vary']]
  reply.headers(host === undefined || own === undefined ? headers : { ...headers, vary: [host, own].flat().join(', ') })
  return true
}

const asItIs = (text: unknown): string => String(text)

function send(reply: FastifyReply, body: HttpResponse['body']): void {
  if (typeof body === 'function') reply.send(readableOf(body, reply.raw))
  // Without a serializer of its own, Fastify adds a charset to the content type of JSON.
  else reply.serializer(asItIs).send(body)
}
