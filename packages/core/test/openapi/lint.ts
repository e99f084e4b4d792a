import type { OpenApiDocument } from '@keelson/core/openapi'
import { createConfig, lintFromString } from '@redocly/openapi-core'

/** Opinions about prose, not about the document. */
const prose = ['info-license', 'tag-description', 'operation-4xx-response']

/** What a linter has to say about a document, warnings too. */
export async function lint(document: OpenApiDocument): Promise<readonly string[]> {
  const config = await createConfig({ extends: ['recommended'] })
  const problems = await lintFromString({ source: JSON.stringify(document), absoluteRef: 'openapi.json', config })
  return problems
    .filter(({ ruleId }) => !prose.includes(ruleId))
    .map(({ location, message, ruleId }) => `${ruleId}: ${message} (${location[0]?.pointer})`)
}
