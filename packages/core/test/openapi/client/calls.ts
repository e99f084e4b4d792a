import createClient, { type Client, type Middleware } from 'openapi-fetch'
import type { paths } from './paths.ts'

export interface CallsOptions {
  readonly baseUrl: string
  readonly apiKey: string
}

/** Told of every call: the path as the document has it, the method, and the status it was answered with. */
export type OnCall = (method: string, path: string, status: number) => void

function clientOf({ baseUrl, apiKey }: CallsOptions, onCall: OnCall): Client<paths> {
  const client = createClient<paths>({ baseUrl, headers: { 'x-api-key': apiKey } })
  const tell: Middleware = {
    onResponse: ({ request, response, schemaPath }) => onCall(request.method, schemaPath, response.status),
  }
  client.use(tell)
  return client
}

/** Uses the whole API once, as a program would: everything is what the types say it is, or this does not compile. */
export async function callEverything(options: CallsOptions, onCall: OnCall) {
  const client = clientOf(options, onCall)
  const health = need(await client.GET('/api/health', {}))
  const version: string = health.version
  const status = need(await client.GET('/api/agent/status', {}))
  const state: 'running' = status.state

  const config = need(await client.GET('/api/config', {}))
  const keySource: 'local' | 'oauth' | 'keystore' | 'env' | 'none' | undefined = config.providers['openai']?._key_source
  const updated: boolean = need(await client.PUT('/api/config', { body: { agent: { name: 'Bo' } } })).updated
  const sections: string[] = need(await client.GET('/api/config/capabilities', {})).immutable_sections
  const failed: string | null = need(await client.GET('/api/config/status', {})).status.last_error
  const keyOf = { path: { name: 'openai' } }
  const body = { api_key: 'sk-1' }
  const entry: string = need(await client.PUT('/api/providers/{name}/key', { params: keyOf, body })).keystore_entry
  const removed: boolean = need(await client.DELETE('/api/providers/{name}/key', { params: keyOf })).removed

  const session = need(await client.POST('/api/sessions', { body: { agent_id: status.agent_id } }))
  const path = { id: session.session_id }
  const sent = need(
    await client.POST('/api/agent/message', { body: { content: 'Book the garden room', session_id: path.id } }),
  )
  const cost: number = sent.cost
  const { response } = await client.POST('/api/agent/message/stream', {
    body: { content: 'How are you?' },
    parseAs: 'stream',
  })
  const streamed = await response.text()

  const appended = need(
    await client.POST('/api/sessions/{id}/messages', { params: { path }, body: { role: 'user', content: 'noted' } }),
  )
  const history = need(
    await client.GET('/api/sessions/{id}/messages', { params: { path, query: { limit: '10' } } }),
  ).messages
  const role: 'user' | 'assistant' | 'system' | 'tool' | undefined = history[0]?.role
  const named = need(await client.POST('/api/sessions/backfill-nicknames', {})).backfilled
  const sessions = need(await client.GET('/api/sessions', { params: { query: { limit: '10', offset: '0' } } })).sessions
  const nickname: string | null = need(await client.GET('/api/sessions/{id}', { params: { path } })).nickname

  const pending = need(await client.GET('/api/approvals', {})).pending
  const [first, second] = pending.map(({ id }: { id: string }) => ({ path: { id } }))
  if (!first || !second) throw new Error('there are no two approvals')
  const approved = need(await client.POST('/api/approvals/{id}/approve', { params: first }))
  const denied = need(await client.POST('/api/approvals/{id}/deny', { params: second, body: { decided_by: 'ann' } }))

  const available = need(await client.GET('/api/models/available', { params: { query: { provider: 'openai' } } }))
  const models: readonly string[] = available.models
  const { events } = need(await client.GET('/api/models/selections', { params: { query: { limit: '10' } } }))
  const provider = { path: { provider: 'openai' } }
  const forced: true = need(
    await client.POST('/api/breaker/open/{provider}', { params: provider }),
  ).operator_forced_open
  const { state: closed } = need(await client.POST('/api/breaker/reset/{provider}', { params: provider }))
  const breakers = need(await client.GET('/api/breaker/status', {}))
  const breaker: 'closed' | 'open' | 'half_open' | undefined = breakers.providers['openai']?.state

  const turns = need(await client.GET('/api/sessions/{id}/turns', { params: { path } })).turns
  const turn = { path: { id: turns[0]?.id ?? '' } }
  const answered: string | null = need(await client.GET('/api/turns/{id}', { params: turn })).model
  const context = need(await client.GET('/api/turns/{id}/context', { params: turn }))
  const budget: number = context.token_budget
  const tools = need(await client.GET('/api/turns/{id}/tools', { params: turn })).tool_calls
  const selection = need(await client.GET('/api/turns/{id}/model-selection', { params: turn }))
  const costs = need(await client.GET('/api/stats/costs', { params: { query: { limit: '1', offset: '0' } } })).costs
  const tokensIn: number | undefined = costs[0]?.tokens_in

  const ticket = need(await client.POST('/api/ws-ticket', {}))
  const socket = await client.GET('/ws', { params: { query: { ticket: ticket.ticket } } })

  const unknown = await client.GET('/api/sessions/{id}', { params: { path: { id: 'none' } } })
  const refusal: string | undefined = unknown.error?.error
  return {
    version,
    config: { keySource, updated, sections, failed, entry, removed },
    state,
    cost,
    streamed,
    appended: appended.message_id,
    role,
    named,
    sessions: sessions.length,
    nickname,
    approved: approved.approval.status,
    denied: denied.status,
    models: models.length,
    selections: events.length,
    breaker: [forced, closed, breaker],
    turns: turns.length,
    answered,
    budget,
    tools: tools.length,
    selected: selection.selected_model,
    tokensIn,
    expiresIn: ticket.expires_in,
    socket: socket.response.status,
    refusal,
  }
}

function need<Data>({ data, response }: { data?: Data; response: Response }): Data {
  if (data === undefined) throw new Error(`${response.url} answered ${response.status}`)
  return data
}
