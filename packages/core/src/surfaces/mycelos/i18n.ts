import { z } from 'zod'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import type { Settings } from './options.ts'
import { languageOf, textsIn } from './texts.ts'

/** Texts for clients that have none of their own. */
export const translationRoutes = ({ user }: Settings): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/i18n',
    section: 'Translations',
    summary: 'What the server says, in the language of its user',
    beyondDocument: true,
    open: true,
    query: z.object({ lang: z.string().max(35).optional() }),
    response: z.strictObject({
      lang: z.enum(['en', 'de']),
      translations: z.record(z.string(), z.record(z.string(), z.string())),
    }),
    handle({ query }) {
      const tag = query.lang ?? user.language
      return { json: { lang: languageOf(tag), translations: textsIn(tag) } }
    },
  }),
]
