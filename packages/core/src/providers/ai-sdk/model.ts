import type {
  LanguageModelV2,
  LanguageModelV2StreamPart,
  LanguageModelV3,
  LanguageModelV3StreamPart,
  LanguageModelV4,
  LanguageModelV4StreamPart,
} from '@ai-sdk/provider'

/** A language model of the AI SDK, version 5 or newer. */
export type AiSdkModel = LanguageModelV2 | LanguageModelV3 | LanguageModelV4

export type StreamPart = LanguageModelV2StreamPart | LanguageModelV3StreamPart | LanguageModelV4StreamPart

export type SpecificationVersion = AiSdkModel['specificationVersion']

const versions: readonly unknown[] = ['v2', 'v3', 'v4'] satisfies readonly SpecificationVersion[]

export const isModel = (value: unknown): value is AiSdkModel =>
  typeof value === 'object' &&
  value !== null &&
  versions.includes((value as { specificationVersion?: unknown }).specificationVersion) &&
  typeof (value as { doStream?: unknown }).doStream === 'function'
