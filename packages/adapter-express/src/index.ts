export { type ExpressHandler, type HostRequest, type HostRuntime, type KeelsonOptions, keelson } from './handler.ts'
export { verify } from './raw-body.ts'
