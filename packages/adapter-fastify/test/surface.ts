import { type AnyRoute, type Principal, type Surface, statusOf } from '@keelson/core/http'
import type { HostRuntime } from '../src/index.ts'

export const ann: Principal = { tenant: 't', subject: 'ann', roles: [], via: 'test', ambient: false }

export type Client = Principal | null
export const runtime: HostRuntime<Client> = { as: (principal) => principal }

export type Handle = AnyRoute<Client>['handle']

export const anything: AnyRoute<Client>['response'] = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
}

/** A surface whose routes are written as `GET /path`; those that are not GET take any JSON. */
export const surface = (
  routes: Readonly<Record<string, Handle>>,
  more: Partial<Surface<Client>> = {},
): Surface<Client> => ({
  id: 'test',
  bodyLimit: 1_000,
  headers: {},
  authenticate: () => ann,
  encodeError: (error) => ({ status: statusOf(error), body: { code: error.code } }),
  routes: Object.entries(routes).map(([target, handle]) => {
    const [method, path = ''] = target.split(' ')
    const common = { method: method as 'GET', path, section: 'test', summary: 'test', response: anything, handle }
    return method === 'POST' ? { ...common, body: anything, bodyOptional: true } : common
  }),
  ...more,
})

export const one = (target: string, handle: Handle, prefix = '/ai') => ({
  mounts: [{ prefix, surface: surface({ [target]: handle }) }],
})
