export { inspectMessage, type Threat } from './service.ts'
