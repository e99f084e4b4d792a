export type { HostRuntime } from '@keelson/core/http'
export { type KeelsonOptions, keelson } from './plugin.ts'
