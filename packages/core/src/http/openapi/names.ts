/** `getApiSessionsById` for `GET /api/sessions/:id`: unique among these, the same as long as the routes are. */
export function operationNames(routes: readonly { readonly method: string; readonly path: string }[]): string[] {
  const taken = new Set<string>()
  return routes.map(({ method, path }) => {
    const words = path
      .replace(/:(\w+)/g, ' by $1 ')
      .split(/[^A-Za-z0-9]+/)
      .filter((word) => word !== '')
    const name = method.toLowerCase() + words.map(capitalized).join('')
    let unique = name
    for (let number = 2; taken.has(unique); number += 1) unique = `${name}${number}`
    taken.add(unique)
    return unique
  })
}

export const capitalized = (word: string): string => (word[0] ?? '').toUpperCase() + word.slice(1)
