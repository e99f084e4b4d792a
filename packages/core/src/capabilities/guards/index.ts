export type { ThreatKind } from './patterns.ts'
export { inspectMessage, type Threat } from './service.ts'
