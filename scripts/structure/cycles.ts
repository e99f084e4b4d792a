import { isTest, type Problem, type SourceTree } from './source-tree.ts'

/** The strongly connected parts of more than one file (or a file that imports itself), by Tarjan's algorithm. */
function knots(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = []
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const onStack = new Set<string>()

  const visit = (node: string): number => {
    const own = index.size
    let lowest = own
    index.set(node, own)
    stack.push(node)
    onStack.add(node)
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) lowest = Math.min(lowest, visit(next))
      else if (onStack.has(next)) lowest = Math.min(lowest, index.get(next) ?? own)
    }
    low.set(node, lowest)
    if (lowest === own) {
      const knot = stack.splice(stack.indexOf(node))
      for (const each of knot) onStack.delete(each)
      if (knot.length > 1 || graph.get(node)?.includes(node)) found.push(knot)
    }
    return lowest
  }

  for (const node of graph.keys()) if (!index.has(node)) visit(node)
  return found
}

/** The shortest way from `start` back to itself within `knot`, so that the message can be acted on. */
function roundTrip(graph: ReadonlyMap<string, readonly string[]>, knot: readonly string[], start: string): string[] {
  const queue = [[start]]
  const seen = new Set<string>()
  for (let way = queue.shift(); way; way = queue.shift()) {
    for (const next of graph.get(way.at(-1) ?? '') ?? []) {
      if (next === start) return [...way, next]
      if (seen.has(next) || !knot.includes(next)) continue
      seen.add(next)
      queue.push([...way, next])
    }
  }
  return [start]
}

/** No file of core reaches itself through what it imports, types included. `import()` does not count: it runs later. */
export function checkCycles(tree: SourceTree): Problem[] {
  const files = tree.filter(({ path }) => path.startsWith('packages/core/src/') && !isTest(path))
  const graph = new Map(
    files.map(({ path, imports }) => [
      path,
      imports.filter(({ kind }) => kind !== 'dynamic').flatMap(({ target }) => target ?? []),
    ]),
  )
  return knots(graph).map((knot): Problem => {
    const [start = ''] = knot.toSorted()
    const names = roundTrip(graph, knot, start).map((path) => path.replace('packages/core/src/', ''))
    return { rule: 'cycles', path: start, message: `import cycle: ${names.join(' > ')}`, level: 'error' }
  })
}
