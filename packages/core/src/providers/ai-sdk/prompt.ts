import type { LanguageModelV4CallOptions, LanguageModelV4Message, LanguageModelV4Prompt } from '@ai-sdk/provider'
import {
  ModelFailure,
  type ModelMessage,
  type ModelRequest,
  type ToolDescription,
} from '../../capabilities/models/index.ts'
import { type ImagePart, type Part, textOf } from '../../capabilities/sessions/index.ts'
import type { JsonObject } from '../../kernel/json.ts'
import { inOrder, objectOf } from '../in-order.ts'
import type { AiSdkModel, SpecificationVersion } from './model.ts'
import { type Metadata, ownState } from './state.ts'

type Content<Role> = Extract<LanguageModelV4Message, { role: Role }>['content']
type Tool = NonNullable<LanguageModelV4CallOptions['tools']>[number]

/** For whom a prompt is written. */
interface Reader {
  readonly by: string
  readonly from: string
  readonly version: SpecificationVersion
}

export interface PromptOptions {
  /** Id of the provider: thoughts of others are not sent. */
  readonly by: string
  readonly providerOptions: Readonly<Record<string, JsonObject>>
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Makes the options of a call, in the words of the newest version of the specification; where an older one differs, in
 * its own. What it made of a message is remembered by the object's identity.
 */
export function promptWriter(options: PromptOptions) {
  const messages = new Map<string, WeakMap<ModelMessage, LanguageModelV4Message | null>>()
  const tools = new WeakMap<readonly ToolDescription[], Tool[]>()

  const promptOf = (model: AiSdkModel, request: ModelRequest): LanguageModelV4Prompt => {
    const reader = { by: options.by, from: model.provider, version: model.specificationVersion }
    const key = `${reader.version} ${reader.from}`
    const known = messages.get(key) ?? new WeakMap<ModelMessage, LanguageModelV4Message | null>()
    messages.set(key, known)
    const prompt: LanguageModelV4Prompt = []
    if (request.instructions !== '') prompt.push({ role: 'system', content: request.instructions })
    for (const message of request.messages) {
      let made = known.get(message)
      if (made === undefined) {
        made = messageOf(message, reader)
        known.set(message, made)
      }
      if (made) prompt.push(made)
    }
    return prompt
  }

  const toolsOf = (described: readonly ToolDescription[]): Tool[] => {
    let made = tools.get(described)
    if (!made) {
      made = described.map(({ name, description, parameters }) => ({
        type: 'function',
        name,
        description,
        inputSchema: parameters as Extract<Tool, { type: 'function' }>['inputSchema'],
      }))
      tools.set(described, made)
    }
    return made
  }

  return async (model: AiSdkModel, request: ModelRequest, abortSignal: AbortSignal) => {
    await checkAddresses(model, request.messages)
    const { output } = request
    return {
      prompt: promptOf(model, request),
      maxOutputTokens: request.maxOutputTokens,
      abortSignal,
      headers: { ...options.headers },
      providerOptions: { ...options.providerOptions },
      ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
      ...(request.tools.length === 0 ? {} : { tools: toolsOf(request.tools) }),
      ...(output === undefined
        ? {}
        : { responseFormat: { type: 'json', name: output.name, schema: output.schema } as const }),
    } as LanguageModelV4CallOptions
  }
}

function messageOf({ role, parts }: ModelMessage, reader: Reader): LanguageModelV4Message | null {
  switch (role) {
    case 'system':
      return { role, content: textOf(parts) }
    case 'user':
      return { role, content: userContent(parts, reader.version) }
    case 'tool':
      return { role, content: parts.flatMap((part) => (part.type === 'tool-result' ? [resultOf(part)] : [])) }
    case 'assistant': {
      const content = assistantContent(parts, reader)
      return content.length === 0 ? null : { role, content }
    }
  }
}

const userContent = (parts: readonly Part[], version: SpecificationVersion): Content<'user'> =>
  parts.flatMap((part): Content<'user'> => {
    if (part.type === 'text') return [{ type: 'text', text: part.text }]
    return part.type === 'image' ? [imageOf(part, version)] : []
  })

function imageOf(part: ImagePart, version: SpecificationVersion): Content<'user'>[number] {
  const mediaType = 'url' in part ? 'image/*' : part.mediaType
  const plain = 'url' in part ? new URL(part.url) : part.data
  // Only the newest version says what kind of data it is.
  if (version !== 'v4') return { type: 'file', mediaType, data: plain as never }
  return {
    type: 'file',
    mediaType,
    data: plain instanceof URL ? { type: 'url', url: plain } : { type: 'data', data: plain },
  }
}

function resultOf({ call, tool, output, isError }: Extract<Part, { type: 'tool-result' }>): Content<'tool'>[number] {
  const result = { type: 'tool-result', toolCallId: call, toolName: tool } as const
  if (typeof output === 'string') {
    return { ...result, output: { type: isError ? 'error-text' : 'text', value: output } }
  }
  return { ...result, output: { type: isError ? 'error-json' : 'json', value: output } }
}

function assistantContent(parts: readonly Part[], { by, from }: Reader): Content<'assistant'> {
  let textMetadata: Metadata | undefined
  const callMetadata = new Map<string, Metadata>()
  const said = inOrder(parts, (part) => {
    const own = ownState(part, by, from)
    if (own === null) return null
    if (own.rest) {
      textMetadata = own.rest.text
      for (const [call, metadata] of Object.entries(own.rest.calls)) callMetadata.set(call, metadata)
      return null
    }
    return { place: own, thought: { text: own.thought ?? part.text, metadata: own.metadata } }
  })
  const partOf = (each: (typeof said)[number]): Content<'assistant'>[number] => {
    if (each.type === 'text') return { type: 'text', text: each.text, ...withOptions(textMetadata) }
    if (each.type === 'thought') {
      return { type: 'reasoning', text: each.thought.text, ...withOptions(each.thought.metadata) }
    }
    const { call, tool, arguments: args } = each.call
    const input = objectOf(args)
    return { type: 'tool-call', toolCallId: call, toolName: tool, input, ...withOptions(callMetadata.get(call)) }
  }
  return said.map(partOf)
}

const withOptions = (metadata: Metadata | undefined): { providerOptions?: Record<string, JsonObject> } =>
  metadata === undefined ? {} : { providerOptions: { ...metadata } }

/** An address that the model cannot read would have to be fetched here, from wherever a user says. */
async function checkAddresses(model: AiSdkModel, messages: readonly ModelMessage[]): Promise<void> {
  const urls = messages.flatMap(({ parts }) =>
    parts.flatMap((part) => (part.type === 'image' && 'url' in part ? [part.url] : [])),
  )
  if (urls.length === 0) return
  const supported = await model.supportedUrls
  const patterns = Object.entries(supported).flatMap(([type, list]) => (/^(?:\*|image\/)/.test(type) ? list : []))
  const strange = urls.find((url) => !patterns.some((pattern) => pattern.test(url.toLowerCase())))
  if (strange !== undefined) {
    throw new ModelFailure('bad-request', `${model.provider} reads no image by this address; send its bytes instead`)
  }
}
