import { describeProvider } from '../../../conformance/src/provider.ts'
import type { FailureClass } from '../../src/capabilities/models/index.ts'
import { refusals, secret, serveAnthropic } from './fake-anthropic.ts'

describeProvider('anthropic', {
  model: 'claude-kit',
  secret,
  failures: Object.keys(refusals) as FailureClass[],
  serve: serveAnthropic,
})
