import { describeProvider } from '../../../conformance/src/provider.ts'
import type { FailureClass } from '../../src/capabilities/models/index.ts'
import { refusals, secret, serveOpenai } from './fake-openai.ts'

describeProvider('openai-compatible', {
  model: 'gpt-kit',
  secret,
  failures: Object.keys(refusals) as FailureClass[],
  serve: serveOpenai,
})
