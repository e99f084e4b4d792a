import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Operation } from '../../contract/operation.ts'
import type { JsonObject } from '../../kernel/json.ts'

/** How much harm a call can do: `safe` reads or computes, `caution` changes something, `dangerous` is hard to undo, `forbidden` never runs. */
export type Risk = 'safe' | 'caution' | 'dangerous' | 'forbidden'

export interface ToolContext {
  /** Aborted when the turn is cancelled, the tool's time is over, or the runtime stops. */
  readonly signal: AbortSignal
  readonly turn: string
  readonly session: string
  readonly tenant: string
  readonly subject: string
  readonly agent: string
  /** The same for every attempt at this call: hand it to whatever you call, so that a repeat has no second effect. */
  readonly idempotencyKey: string
  /** Calls an operation of the runtime as the subject whose turn it is, without any role. */
  readonly call: CallOperation
}

/** Calls an operation as somebody who is known. Rejects with the operation's errors. */
export type CallOperation = <Input, Output>(operation: Operation<Input, Output>, input: Input) => Promise<Output>

interface ToolOptions<Arguments> {
  /** What the model calls: letters, digits, `_` and `-`, at most 64. */
  readonly name: string
  /** Tells the model when and how to use it. */
  readonly description: string
  /** @default 'caution' */
  readonly risk?: Risk
  /** Overrides the policy: always ask a human, never ask, or decide by the arguments. */
  readonly approval?: 'always' | 'never' | ((args: Arguments) => 'always' | 'never')
  /** True when a repeat with the same `idempotencyKey` has no second effect: the call then survives a crash. @default false */
  readonly idempotent?: boolean
  /** Milliseconds. @default 120_000 */
  readonly timeoutMs?: number
  /** Most bytes of the result's JSON that the model gets to see; the rest is cut. @default 16_384 */
  readonly maxOutputBytes?: number
}

/** Arguments by a Standard Schema (zod, valibot, arktype ...): their type is inferred. */
export interface SchemaTool<Arguments, Output> extends ToolOptions<Arguments> {
  readonly input: StandardSchemaV1<unknown, Arguments>
  /** JSON Schema for the model; needed when the schema library cannot make one itself. */
  readonly parameters?: JsonObject
  execute(args: Arguments, context: ToolContext): Output | Promise<Output>
}

/** Arguments by JSON Schema: checked against it, typed as JSON. */
export interface JsonSchemaTool<Output> extends ToolOptions<JsonObject> {
  readonly input: JsonObject
  execute(args: JsonObject, context: ToolContext): Output | Promise<Output>
}

export type Checked<Value = unknown> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problems: readonly string[] }

/** A tool ready for use. Make one with `defineTool`. */
export interface Tool {
  readonly name: string
  readonly description: string
  readonly risk: Risk
  readonly approval: 'policy' | 'always' | 'never' | ((args: unknown) => 'always' | 'never')
  readonly idempotent: boolean
  readonly timeoutMs: number
  readonly maxOutputBytes: number
  /** JSON Schema of the arguments, as the model gets it. */
  readonly parameters: JsonObject
  /** Checks parsed arguments. Never throws for bad arguments. */
  check(value: unknown): Checked | Promise<Checked>
  execute(args: unknown, context: ToolContext): unknown
}
