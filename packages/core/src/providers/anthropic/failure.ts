import type { APIError } from '@anthropic-ai/sdk'
import {
  type FailureClass,
  isModelFailure,
  ModelFailure,
  type ToolDescription,
} from '../../capabilities/models/index.ts'
import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import { classOfStatus, connectionClass, connectionText, lookAt, pageInstead, shorten } from '../connection.ts'
import { retryAfterMs } from '../retry-after.ts'
import type { Sdk } from './client.ts'

/** Types and codes that the vendor names in the body of an error; they say more than the status. */
const byCode: Readonly<Record<string, FailureClass>> = {
  authentication_error: 'auth',
  permission_error: 'auth',
  billing_error: 'billing',
  contract_spend_limit_reached: 'billing',
  enforced_spend_limit_reached: 'billing',
  linked_organization_spend_limit_reached: 'billing',
  linked_organization_billing_unavailable: 'billing',
  organization_on_hold: 'auth',
  not_found_error: 'bad-request',
  request_too_large: 'context-too-long',
  rate_limit_error: 'rate-limit',
  timeout_error: 'timeout',
  overloaded_error: 'overload',
  api_error: 'server',
}

/**
 * What went wrong with a call, as the runtime knows it. `hide` takes the secrets out of a text; `tools` are those of the
 * request, so that one that was refused can be named.
 */
export function failureOf(
  error: unknown,
  sdk: Sdk,
  hide: (text: string) => string,
  tools: readonly ToolDescription[],
): ModelFailure | KeelsonError {
  if (isModelFailure(error) || isKeelsonError(error)) return error
  const failed = (failure: FailureClass, message: string, detail: { status?: number; retryAfterMs?: number } = {}) =>
    new ModelFailure(failure, shorten(hide(message)), detail)

  if (error instanceof sdk.APIConnectionTimeoutError) return failed('timeout', 'the server did not answer in time')
  if (error instanceof sdk.APIConnectionError) return failed(connectionClass(error), connectionText(error))
  if (error instanceof sdk.APIError) {
    const status = error.status as number | undefined
    const message = messageOf(error, tools)
    const wait = retryAfterMs(error.headers as Headers | undefined, Date.now())
    return failed(classOf(status, [error.errorCode, error.type], message), message, {
      ...(status === undefined ? {} : { status }),
      ...(wait === undefined ? {} : { retryAfterMs: wait }),
    })
  }
  if (error instanceof sdk.AnthropicError) return failed('auth', error.message)
  if (error instanceof SyntaxError) return failed('malformed', 'the server sent an event that is no JSON')
  // A lost connection names its cause; without one, the client itself stumbled over what it read.
  if (error instanceof TypeError && error.cause === undefined) {
    return failed('malformed', 'the server sent an event that the client cannot read')
  }
  return failed(connectionClass(error), connectionText(error))
}

/** The class of an error by the codes that its body names, its status, and, where both are vague, its words. */
export function classOf(status: number | undefined, codes: readonly unknown[], message: string): FailureClass {
  for (const code of codes) {
    if (typeof code === 'string' && Object.hasOwn(byCode, code)) return byCode[code] ?? 'bad-request'
  }
  const byStatus = classOfStatus(status)
  if (byStatus !== null) return byStatus
  if (tooLong.test(message)) return 'context-too-long'
  if (unpaid.test(message)) return 'billing'
  if (filtered.test(message)) return 'content-refused'
  return status === undefined && !codes.includes('invalid_request_error') ? 'server' : 'bad-request'
}

const tooLong =
  /prompt is too long|exceeds? (?:the )?(?:context|model'?s context)|context (?:limit|window)|too many tokens/i
const unpaid = /credit balance|usage limit|spend(?:ing)? limit/i
const filtered = /content filter|usage polic/i

/** True for a refusal of thoughts that were sent back: made under another account, or before the history changed. */
export const refusesThoughts = (error: unknown, sdk: Sdk): boolean =>
  error instanceof sdk.APIError &&
  error.status === 400 &&
  /\b(?:redacted_)?thinking\b.*\bblocks?\b|\bblocks?\b.*\bthinking\b|signature/i.test(error.message)

/** What the server says; of a page, that it is one; of a tool, which. */
function messageOf(
  { apiMessage, headers, message, status, type }: APIError,
  tools: readonly ToolDescription[],
): string {
  const page = pageInstead(headers?.get('content-type'), message, status)
  if (page !== null) return page
  const said = apiMessage ?? message
  if (status === 404 && type === null) return `${said}; ${lookAt}`
  // The vendor names a tool by its number.
  const tool = tools[Number(/\btools\.(\d+)\./.exec(said)?.[1])]
  return tool ? `the tool "${tool.name}" was refused: ${said}` : said
}
