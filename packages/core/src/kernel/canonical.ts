import { hash } from 'node:crypto'
import type { Json } from './json.ts'

/** JSON without spaces and with the keys of every object in the order of their code units: equal values, equal text. */
export function canonicalJson(value: Json): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const object = value as { readonly [key: string]: Json }
  const members = Object.keys(object)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(object[key] as Json)}`)
  return `{${members.join(',')}}`
}

/** SHA-256, hex. */
export const sha256 = (text: string): string => hash('sha256', text)
