/** What to say of the first option that is not known, null when there is none: misspelt, it would be ignored in silence. */
export function strayOption(options: object, known: Readonly<Record<string, true>>): string | null {
  const stray = Object.keys(options).find((name) => !Object.hasOwn(known, name))
  if (stray === undefined) return null
  return `there is no option ${JSON.stringify(stray)}; there are: ${Object.keys(known).join(', ')}`
}
