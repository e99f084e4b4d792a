export type { Principal, RequestOrigin } from '../kernel/context.ts'
export { defineErrors, type ErrorKind, isKeelsonError, KeelsonError } from '../kernel/errors.ts'
export {
  createDispatcher,
  type DispatchContext,
  type Dispatcher,
  type DispatcherOptions,
  type ErrorPlace,
  type MountedRouteInfo,
} from './dispatch.ts'
export { httpErrors, statusOf, type ValidationIssue, validationIssues } from './errors.ts'
export { type HostRuntime, type Mounted, type MountOptions, mountRuntime } from './host.ts'
export type { Match } from './match.ts'
export type { HttpRequest, HttpResponse, HttpSink, HttpStream } from './message.ts'
export { type RouteInfo, routesOf } from './mounts.ts'
export type { QueryRecord } from './query.ts'
export { type PathParams, route } from './route.ts'
export { answerEvents, type EventStream, type EventStreamOptions, eventStream, type ServerSentEvent } from './sse.ts'
export type {
  Answer,
  AnyRoute,
  Call,
  Method,
  Mount,
  MountRules,
  Route,
  SecurityScheme,
  Surface,
  Winner,
} from './surface.ts'
export { splitTarget } from './target.ts'
export type { Socket, SocketHandlers, SocketSession } from './websocket.ts'
