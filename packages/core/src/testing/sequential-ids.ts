import type { NewId } from '../kernel/ids.ts'

/**
 * Identifiers that count up, in the shape of UUIDs: the same test makes the same rows every time. Runtimes on one
 * database share one of these, or begin far enough apart.
 */
export function sequentialIds(first = 1): NewId {
  let next = first
  return () => `00000000-0000-4000-8000-${(next++).toString(16).padStart(12, '0')}`
}
