import type { ConfigSection } from './section.ts'

const mostCharacters = 262_144

/**
 * The `surfaces` section: by surface, what its clients have set that is no capability's business. Kept for them as it
 * is; the surface has checked it.
 */
export const surfacesSection: ConfigSection = {
  name: 'surfaces',
  check: (_, entry) =>
    JSON.stringify(entry).length > mostCharacters ? [`it must have at most ${mostCharacters} characters of JSON`] : [],
}
