import { utf8Length } from '../../kernel/text.ts'
import type { ImagePart, Part } from '../sessions/index.ts'
import type { RunOptions } from './contract.ts'
import { loopErrors } from './errors.ts'
import type { TurnLimits } from './limits.ts'

/** What every vendor with vision takes. */
const imageTypes: ReadonlySet<unknown> = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp'])
const mostImages = 32
const longestURL = 2_048
const base64 = /^[A-Za-z0-9+/]+={0,2}$/

/** A user says text and shows images. What a person approved is the one call that a message may carry. */
export function checkMessage(
  { message, whenEmpty }: Pick<RunOptions, 'message' | 'whenEmpty'>,
  limits: TurnLimits,
  withCall: boolean,
): readonly Part[] {
  const parts: readonly Part[] = typeof message === 'string' ? [{ type: 'text', text: message }] : message
  if (!Array.isArray(parts)) throw loopErrors.MESSAGE_INVALID()
  let bytes = 0
  let imageBytes = 0
  let images = 0
  let blank = true
  for (const part of parts) {
    if (withCall && part.type === 'tool-call') continue
    if (part?.type === 'image') {
      imageBytes += checkImage(part)
      images += 1
      blank = false
      continue
    }
    if (part?.type !== 'text' || typeof part.text !== 'string') throw loopErrors.MESSAGE_INVALID()
    bytes += utf8Length(part.text)
    if (part.text.trim() !== '') blank = false
  }
  if (blank && whenEmpty !== 'answer') throw loopErrors.MESSAGE_EMPTY()
  if (bytes > limits.messageBytes) throw loopErrors.MESSAGE_TOO_LONG({ details: { bytes, limit: limits.messageBytes } })
  if (images > mostImages) throw tooMuch(`a message holds at most ${mostImages} images`, images, mostImages)
  if (imageBytes > limits.imageBytes) throw tooMuch('the images are too large', imageBytes, limits.imageBytes)
  return parts
}

const tooMuch = (message: string, given: number, limit: number) =>
  loopErrors.MESSAGE_TOO_LONG({ message, details: { given, limit } })

/** The bytes of an image; none for one that is named by its address. */
function checkImage(part: ImagePart): number {
  const refuse = (message: string) => loopErrors.MESSAGE_INVALID({ message: `an image ${message}` })
  if ('url' in part) {
    const { url } = part
    if (typeof url !== 'string' || url.length > longestURL) {
      throw refuse(`is named by an address of at most ${longestURL} characters`)
    }
    const parsed = URL.parse(url)
    if (parsed?.protocol !== 'https:' || parsed.username !== '' || parsed.password !== '') {
      throw refuse('is named by an https address without credentials')
    }
    return 0
  }
  const { mediaType, data } = part
  if (!imageTypes.has(mediaType)) throw refuse(`has one of the media types ${[...imageTypes].join(', ')}`)
  if (typeof data !== 'string' || data.length % 4 !== 0 || !base64.test(data)) throw refuse('has its bytes as base64')
  return (data.length / 4) * 3 - (data.endsWith('==') ? 2 : data.endsWith('=') ? 1 : 0)
}
