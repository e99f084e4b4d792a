import type { APIError } from 'openai'
import {
  type FailureClass,
  isModelFailure,
  ModelFailure,
  type ToolDescription,
} from '../../capabilities/models/index.ts'
import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import {
  classOfStatus,
  connectionClass,
  connectionText,
  lookAt,
  pageInstead,
  shorten,
  statusIn,
} from '../connection.ts'
import { retryAfterMs } from '../retry-after.ts'
import type { Sdk } from './client.ts'

/** Codes and types that servers name in the body of an error; they say more than the status. */
const byCode: Readonly<Record<string, FailureClass>> = {
  context_length_exceeded: 'context-too-long',
  exceed_context_size_error: 'context-too-long',
  insufficient_quota: 'billing',
  exceeded_current_quota_error: 'billing',
  billing_hard_limit_reached: 'billing',
  billing_not_active: 'billing',
  budget_exceeded: 'billing',
  content_filter: 'content-refused',
  content_policy_violation: 'content-refused',
  invalid_prompt: 'content-refused',
  bio_policy: 'content-refused',
  misalignment_policy_violation: 'content-refused',
  image_content_policy_violation: 'content-refused',
  rate_limit_exceeded: 'rate-limit',
  rate_limit_error: 'rate-limit',
  invalid_api_key: 'auth',
  authentication_error: 'auth',
  permission_error: 'auth',
  unsupported_country_region_territory: 'auth',
  overloaded_error: 'overload',
  engine_overloaded: 'overload',
  server_is_overloaded: 'overload',
  slow_down: 'overload',
  model_not_found: 'bad-request',
  data_residency_mismatch: 'bad-request',
  vector_store_timeout: 'timeout',
}

/**
 * What went wrong with a call, as the runtime knows it. `hide` takes the secrets out of a text; `tools` are those of the
 * request, so that the one that was refused can be named.
 */
export function failureOf(
  error: unknown,
  sdk: Sdk,
  hide: (text: string) => string,
  tools: readonly ToolDescription[] = [],
): ModelFailure | KeelsonError {
  if (isKeelsonError(error)) return error
  if (isModelFailure(error)) {
    const message = shorten(hide(error.message))
    return message === error.message ? error : new ModelFailure(error.failure, message, error)
  }
  const failed = (failure: FailureClass, message: string, detail: { status?: number; retryAfterMs?: number } = {}) =>
    new ModelFailure(failure, shorten(hide(message)), detail)

  if (error instanceof sdk.APIConnectionTimeoutError) return failed('timeout', 'the server did not answer in time')
  if (error instanceof sdk.APIConnectionError) return failed(connectionClass(error), connectionText(error))
  if (error instanceof sdk.APIError) {
    // An error inside a stream has no status of its own; some servers put one into its code.
    const inBody = statusIn(error.code)
    const status = error.status ?? inBody
    const wait = retryAfterMs(error.headers, Date.now())
    return failed(classOf(status, [error.code, error.type], error.message), messageOf(error, tools), {
      ...(status === undefined ? {} : { status }),
      ...(wait === undefined ? {} : { retryAfterMs: wait }),
    })
  }
  if (error instanceof sdk.OpenAIError) return failed('auth', error.message)
  if (error instanceof SyntaxError) return failed('malformed', 'the server sent a chunk that is no JSON')
  // A lost connection names its cause; without one, the client itself stumbled over what it read.
  if (error instanceof TypeError && error.cause === undefined) {
    return failed('malformed', 'the server sent a chunk that the client cannot read')
  }
  return failed(connectionClass(error), connectionText(error))
}

/** What the server says; of a page, that it is one; of a tool, which. */
function messageOf(error: APIError, tools: readonly ToolDescription[]): string {
  const { code, headers, message, param, status } = error
  const page = pageInstead(headers?.get('content-type'), message, status)
  if (page !== null) return page
  if (status === 404 && !code) return `${message}; ${lookAt}`
  const index = /^tools\[(\d+)\]/.exec(param ?? '')?.[1]
  const named = index === undefined ? undefined : tools[Number(index)]
  return named ? `the tool "${named.name}" was refused: ${message}` : message
}

/** The class of an answer by its status, the codes its body names, and, where both are vague, its words. */
export function classOf(status: number | undefined, codes: readonly unknown[], message: string): FailureClass {
  for (const code of codes) {
    if (typeof code === 'string' && Object.hasOwn(byCode, code)) return byCode[code] ?? 'bad-request'
  }
  if (status === undefined) {
    if (tooLong.test(message)) return 'context-too-long'
    return codes.some((code) => typeof code === 'string' && blamesRequest.test(code)) ? 'bad-request' : 'server'
  }
  if (status === 403 && refused.test(message)) return 'content-refused'
  if (status === 403 && unpaid.test(message)) return 'billing'
  const byStatus = classOfStatus(status)
  if (byStatus !== null) return byStatus
  if (tooLong.test(message)) return 'context-too-long'
  if (refused.test(message)) return 'content-refused'
  return unpaid.test(message) ? 'billing' : 'bad-request'
}

/** Codes of failures inside a stream, where there is no status. */
const blamesRequest = /^invalid_|^(?:unsupported|empty)_image|^image_/

const tooLong =
  /ContextWindowExceeded|context the overflows|maximum context length|context[ _](?:length|window|size)|(?:prompt|input) is too long|too many (?:input )?tokens|exceeds the (?:available|maximum) context/i
const refused = /content (?:filter|management|policy)|moderation|flagged/i
const unpaid = /credit balance|insufficient (?:balance|credits?|funds)/i
