import type { LanguageModelV2StreamPart, LanguageModelV3StreamPart, LanguageModelV4StreamPart } from '@ai-sdk/provider'

/** What is used of a language model of the AI SDK, version 5 or newer: those of its specification `v2`, `v3` and `v4` fit. */
export interface AiSdkModel {
  readonly specificationVersion: 'v2' | 'v3' | 'v4'
  /** The vendor's name. */
  readonly provider: string
  /** By media type, the addresses that the model reads itself. */
  readonly supportedUrls:
    | PromiseLike<Readonly<Record<string, readonly RegExp[]>>>
    | Readonly<Record<string, readonly RegExp[]>>
  doStream(options: never): PromiseLike<{ readonly stream: ReadableStream<unknown> }>
}

export type StreamPart = LanguageModelV2StreamPart | LanguageModelV3StreamPart | LanguageModelV4StreamPart

export type SpecificationVersion = AiSdkModel['specificationVersion']

const versions: readonly unknown[] = ['v2', 'v3', 'v4'] satisfies readonly SpecificationVersion[]

export const isModel = (value: unknown): value is AiSdkModel =>
  typeof value === 'object' &&
  value !== null &&
  versions.includes((value as { specificationVersion?: unknown }).specificationVersion) &&
  typeof (value as { doStream?: unknown }).doStream === 'function'
