import { z } from 'zod'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { Client } from '../../runtime.ts'
import type { Authentication } from './auth.ts'
import { loginPage } from './login-page.ts'
import type { Settings } from './options.ts'
import { languageOf, textsIn } from './texts.ts'

const section = 'Authentication'

const loginErrors = defineErrors({
  PASSWORD_WRONG: { kind: 'unauthenticated', message: 'Wrong password' },
})

const loginBody = z.object({
  password: z.string().max(4_096),
  remember: z.boolean().nullish(),
  next: z.string().max(2_048).nullish(),
})

/** Where a login leads: a path of this server, whatever was asked for. */
const safePath = (next: string | null | undefined): string =>
  next != null && /^\/(?![/\\])[\x21-\x7e]*$/.test(next) && !next.includes('\\') ? next : '/'

/** Login and logout, which there are while a password is set. */
export const loginRoutes = ({ login }: Authentication, { user }: Settings): readonly AnyRoute<Client>[] =>
  login === null
    ? []
    : [
        route<Client>()({
          method: 'GET',
          path: '/login',
          section,
          summary: 'A page to log in with',
          beyondDocument: true,
          open: true,
          page: true,
          response: z.string(),
          handle: () => loginPage(languageOf(user.language), textsIn(user.language)),
        }),

        route<Client>()({
          method: 'POST',
          path: '/api/auth/login',
          section,
          summary: 'Log in with the password, for a cookie',
          beyondDocument: true,
          open: true,
          body: loginBody,
          response: z.strictObject({ ok: z.literal(true), next: z.string() }),
          handle({ body, request }) {
            if (!login.matches(body.password, request)) throw loginErrors.PASSWORD_WRONG()
            const cookie = login.cookies.issue(body.remember === true)
            return { json: { ok: true, next: safePath(body.next) }, headers: { 'set-cookie': cookie } }
          },
        }),

        route<Client>()({
          method: 'POST',
          path: '/api/auth/logout',
          section,
          summary: 'Give the login cookie back',
          beyondDocument: true,
          response: z.strictObject({ ok: z.literal(true) }),
          handle: ({ request }) => ({
            json: { ok: true },
            headers: { 'set-cookie': login.cookies.giveBack(request.header('cookie')) },
          }),
        }),
      ]
