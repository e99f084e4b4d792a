import { ModelFailure, type ModelPart } from '../models/index.ts'

/** A provider is somebody's own code: what it yields is checked before any of it is stored. */
export function checkPart(part: ModelPart): ModelPart {
  if (isSound(part)) return part
  throw new ModelFailure('malformed', `a part of type ${String(part.type)} has values of the wrong type`)
}

/** Makes no objects: it is asked for every piece of an answer. */
function isSound(part: ModelPart): boolean {
  switch (part.type) {
    case 'text':
      return typeof part.text === 'string'
    case 'reasoning':
      return typeof part.text === 'string' && (part.state === undefined || isRecord(part.state))
    case 'tool-call':
      return typeof part.call === 'string' && typeof part.tool === 'string' && typeof part.arguments === 'string'
    case 'finish':
      // Whatever the usage is: an answer that was paid for is not thrown away for it.
      return true
    default:
      return false
  }
}

const isRecord = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Characters that a part adds to what is stored. */
export function lengthOf(part: Exclude<ModelPart, { type: 'finish' }>): number {
  if (part.type === 'tool-call') return part.tool.length + part.arguments.length + 1
  if (part.type === 'text' || part.state === undefined) return part.text.length
  try {
    return part.text.length + JSON.stringify(part.state).length
  } catch (cause) {
    throw new ModelFailure('malformed', 'the state of a thought is no JSON', { cause })
  }
}
