import { defineErrors } from '../kernel/errors.ts'

export const providerErrors = defineErrors({
  PROVIDER_OPTIONS_INVALID: { kind: 'bad_request', message: 'the options of the provider are invalid' },
  PROVIDER_PACKAGE_MISSING: { kind: 'unavailable', message: 'a package that the provider needs is not installed' },
})
