import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import {
  type Connection,
  ConnectionFailure,
  type OpenConnection,
  type RemoteResult,
  type RemoteTool,
} from '../capabilities/connectors/index.ts'
import { isKeelsonError } from '../kernel/errors.ts'
import type { JsonObject } from '../kernel/json.ts'
import { unlessAborted } from '../kernel/unless-aborted.ts'
import type { Sdk } from './sdk.ts'

const mostPages = 100
const mostTools = 10_000
/** Times are kept outside, by signals. */
const never = 2 ** 31 - 1
const answersWithinMs = 5_000

/** A transport with what else there is to know and to do about it. */
export interface Line {
  readonly transport: Transport
  /** Why it ended, when it knows. */
  failure(): ConnectionFailure | null
  close(): Promise<void>
}

/** Speaks the protocol over a line: introduces itself and offers the server nothing to ask for. */
export async function openSession(sdk: Sdk, line: Line, open: OpenConnection, version: string): Promise<Connection> {
  const { client: clientModule, types } = sdk
  const client: Client = new clientModule.Client({ name: 'keelson', version }, { capabilities: {} })
  let closed = false
  let closing: Promise<void> | null = null
  let openCalls = 0

  const close = (): Promise<void> => {
    closed = true
    closing ??= (async () => {
      await line.close()
      await client.close().catch(() => {})
    })()
    return closing
  }

  /** What a failed request says of the connection; the error itself when the connection is not to blame. */
  const failureOf = (error: unknown): unknown => {
    if (error instanceof ConnectionFailure) return error
    if (isKeelsonError(error)) {
      return new ConnectionFailure(error.message, { permanent: error.kind === 'forbidden', cause: error })
    }
    if (error instanceof types.McpError) {
      if (error.code !== types.ErrorCode.ConnectionClosed) return error
      return line.failure() ?? new ConnectionFailure('the connection was closed', { cause: error })
    }
    if (error instanceof sdk.http.StreamableHTTPError) {
      const { code } = error
      const permanent = code === 401 || code === 403
      return new ConnectionFailure(`the server answered ${code ?? 'what is not the protocol'}`, {
        permanent,
        cause: error,
      })
    }
    return line.failure() ?? error
  }

  const asked = async <Value>(request: Promise<Value>): Promise<Value> => {
    try {
      return await request
    } catch (error) {
      throw failureOf(error)
    }
  }

  client.setNotificationHandler(types.ToolListChangedNotificationSchema, () => open.changed())
  client.onclose = () => {
    if (closed) return
    closed = true
    open.ended(line.failure() ?? new ConnectionFailure('the server has closed the connection'))
  }
  // A broken stream takes the answers with it that were to come over it: whoever waits must not wait for ever.
  let looking = false
  client.onerror = () => {
    if (closed || looking || openCalls === 0) return
    looking = true
    client
      .ping({ timeout: answersWithinMs })
      .catch((error) => {
        if (closed) return
        closed = true
        const failure = failureOf(error)
        open.ended(
          failure instanceof ConnectionFailure ? failure : new ConnectionFailure('the server no longer answers'),
        )
      })
      .finally(() => {
        looking = false
      })
  }

  try {
    await unlessAborted(client.connect(line.transport, { signal: open.signal, timeout: never }), open.signal)
  } catch (error) {
    const failure = failureOf(error)
    // Whoever waits for the reason need not wait for the end.
    void close()
    throw failure
  }

  return {
    async tools(signal) {
      if (!client.getServerCapabilities()?.tools) return []
      const tools: RemoteTool[] = []
      let cursor: string | undefined
      for (let page = 0; page < mostPages && tools.length < mostTools; page += 1) {
        const request = { method: 'tools/list', params: cursor === undefined ? {} : { cursor } } as const
        const answer = await asked(client.request(request, types.ListToolsResultSchema, { signal, timeout: never }))
        for (const { annotations, description = '', inputSchema, name } of answer.tools) {
          tools.push({
            name,
            description,
            inputSchema: inputSchema as JsonObject,
            readOnly: annotations?.readOnlyHint,
            destructive: annotations?.destructiveHint,
            idempotent: annotations?.idempotentHint,
          })
        }
        cursor = answer.nextCursor
        if (cursor === undefined) break
      }
      return tools
    },

    async call(name, args, { signal, timeoutMs }) {
      openCalls += 1
      try {
        const request = { method: 'tools/call', params: { name, arguments: args } } as const
        const options = { signal, timeout: timeoutMs + 1_000 }
        return resultOf(await asked(client.request(request, types.CallToolResultSchema, options)))
      } finally {
        openCalls -= 1
      }
    },

    async ping(signal) {
      await asked(client.ping({ signal, timeout: never }))
    },

    close,
  }
}

/** What a model can read of a result: texts as they are, anything else by what it is. */
export function resultOf({ content, isError = false, structuredContent }: CallToolResult): RemoteResult {
  const texts = content.map(textOf)
  if (texts.length === 0 && structuredContent !== undefined) return { output: structuredContent, isError }
  return { output: texts.join('\n\n'), isError }
}

function textOf(part: CallToolResult['content'][number]): string {
  switch (part.type) {
    case 'text':
      return part.text
    case 'image':
    case 'audio':
      return `[${part.type}: ${part.mimeType}, ${Buffer.byteLength(part.data, 'base64')} bytes]`
    case 'resource_link':
      return `[resource: ${part.name}, ${part.uri}]`
    case 'resource':
      return 'text' in part.resource ? part.resource.text : `[resource: ${part.resource.uri}]`
  }
}
