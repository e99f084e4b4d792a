import { configErrors } from './contract.ts'
import type { ConfigContent, ConfigDraft, ConfigProblem, ConfigSection } from './section.ts'

/** More would only fill an answer. */
const mostProblems = 100
const longestProblem = 500

/** Everything that is wrong with a content, by the sections themselves. A section that breaks counts as a problem. */
export async function problemsOf(
  sections: readonly ConfigSection[],
  tenant: string,
  content: ConfigContent,
): Promise<ConfigProblem[]> {
  const draft: ConfigDraft = { tenant, content, entry: (section, id) => content[section]?.[id] ?? null }
  const checks = sections.flatMap((section) => [
    ...Object.entries(content[section.name] ?? {}).map(async ([id, entry]) =>
      (await section.check(id, entry, draft)).map((problem) => ({ section: section.name, id, problem })),
    ),
    (async () => (await section.checkDraft?.(draft)) ?? [])(),
  ])
  const found = (await Promise.all(checks)).flat()
  return found.slice(0, mostProblems).map((each) => ({ ...each, problem: each.problem.slice(0, longestProblem) }))
}

/** `CONFIG_INVALID`, with all problems in its details and the first in its message. */
export function invalid(problems: readonly ConfigProblem[]) {
  const [first] = problems
  const where = first ? (first.id === null ? first.section : `${first.section}/${first.id}`) : ''
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
  return configErrors.CONFIG_INVALID({
    message: `the configuration is not valid; nothing was changed: ${where}: ${first?.problem ?? ''}${more}`,
    details: { problems },
  })
}
