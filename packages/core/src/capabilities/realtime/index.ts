export type { LiveTurn } from './live-turn.ts'
export type { Realtime } from './service.ts'
