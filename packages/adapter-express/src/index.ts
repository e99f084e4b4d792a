export type { HostRuntime } from '@keelson/core/http'
export { type ExpressHandler, type HostRequest, type KeelsonOptions, keelson } from './handler.ts'
export { verify } from './raw-body.ts'
