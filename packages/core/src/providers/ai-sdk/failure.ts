import {
  type FailureClass,
  isModelFailure,
  ModelFailure,
  type ToolDescription,
} from '../../capabilities/models/index.ts'
import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import { connectionClass, connectionText, shorten, statusIn } from '../connection.ts'
import { classOf } from '../openai-compatible/failure.ts'
import { retryAfterMs } from '../retry-after.ts'

/** Errors of the AI SDK by their names: its package may be there in several versions. */
const byName: Readonly<Record<string, FailureClass>> = {
  AI_LoadAPIKeyError: 'auth',
  AI_LoadSettingError: 'auth',
  AI_NoSuchModelError: 'bad-request',
  AI_InvalidPromptError: 'bad-request',
  AI_InvalidArgumentError: 'bad-request',
  AI_UnsupportedFunctionalityError: 'bad-request',
  AI_JSONParseError: 'malformed',
  AI_TypeValidationError: 'malformed',
  AI_InvalidResponseDataError: 'malformed',
  AI_EmptyResponseBodyError: 'malformed',
  AI_NoContentGeneratedError: 'malformed',
}

/**
 * What went wrong with a call, as the runtime knows it. `hide` takes the secrets out of a text; `tools` are those of the
 * request, so that one that was refused can be named.
 */
export function failureOf(
  error: unknown,
  hide: (text: string) => string,
  tools: readonly ToolDescription[],
): ModelFailure | KeelsonError {
  if (isModelFailure(error) || isKeelsonError(error)) return error
  const failed = (failure: FailureClass, message: string, detail: { status?: number; retryAfterMs?: number } = {}) =>
    new ModelFailure(failure, shorten(hide(message)), detail)

  const fields = record(error)
  const { name, cause } = fields
  const status = numberOf(fields['statusCode'])
  const message = textOf(fields['message']) || (typeof error === 'string' ? error : '')
  if (typeof name === 'string' && Object.hasOwn(byName, name)) {
    const failure = byName[name] ?? 'malformed'
    // What could not be read is quoted by these errors, and may be a prompt.
    return failed(failure, failure === 'malformed' ? `the model gave nonsense: ${name}` : message)
  }
  if (name === 'AI_APICallError' && status === undefined) return failed(connectionClass(cause), connectionText(cause))
  if (name === 'AI_APICallError' && status !== undefined && status < 400) {
    return failed('malformed', `the server answered ${status} with something that is no answer`)
  }
  if (name !== 'AI_APICallError' && error instanceof Error && status === undefined) {
    return failed(connectionClass(error), connectionText(error))
  }
  // An error inside a stream may be no more than what the server wrote.
  const told = bodyOf(fields)
  const inBody = status ?? statusIn(told['code'])
  const said = textOf(told['message']) || message
  const headers = record(fields['responseHeaders'])
  const wait = retryAfterMs({ get: (header) => textOf(headers[header]) || null }, Date.now())
  return failed(classOf(inBody, [told['code'], told['type']], said), explained(said, inBody, tools), {
    ...(inBody === undefined ? {} : { status: inBody }),
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  })
}

/** What the server wrote of its error, wherever the AI SDK has put it. */
function bodyOf(fields: Record<string, unknown>): Record<string, unknown> {
  const data = record(fields['data'])
  for (const place of [data, parsed(fields['responseBody']), fields]) {
    const inner = record(place['error'])
    if (Object.keys(inner).length > 0) return inner
  }
  return Object.keys(data).length > 0 ? data : fields
}

function parsed(text: unknown): Record<string, unknown> {
  if (typeof text !== 'string' || !text.startsWith('{')) return {}
  try {
    return record(JSON.parse(text))
  } catch {
    return {}
  }
}

function explained(said: string, status: number | undefined, tools: readonly ToolDescription[]): string {
  const text = said === '' || said.includes('<') ? `the server answered ${status ?? 'with an error'}` : said
  const withStatus = status === undefined || text.includes(String(status)) ? text : `${status} ${text}`
  const tool = tools[Number(/\btools(?:\.|\[)(\d+)/.exec(said)?.[1])]
  return tool ? `the tool "${tool.name}" was refused: ${withStatus}` : withStatus
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)
