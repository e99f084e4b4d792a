/** Who may call: everybody, every principal (for their own rows), or operators. */
export type OperationAuth = 'open' | 'caller' | 'operator'

/**
 * One thing a capability does, as plain data. `Input` and `Output` live in the type alone: a surface parses its own
 * wire shape once, at the edge, and code callers are checked by the compiler.
 */
export interface Operation<Input = unknown, Output = unknown> {
  readonly auth: OperationAuth
  /** A write under ambient credentials must come from the same origin. */
  readonly effect: 'read' | 'write'
  /** Codes of the catalogue this operation may throw, besides the ones any operation may. */
  readonly errors: readonly string[]
  readonly '~types'?: { input: Input; output: Output }
}

/** `operation<Input, Output>({ auth, effect, errors })`: the types are given, the rest is data. Each is an object of its own. */
export const operation = <Input = void, Output = void>(data: Omit<Operation, '~types'>): Operation<Input, Output> => ({
  ...data,
})

// biome-ignore lint/suspicious/noExplicitAny: the widest operation; `unknown` would refuse every concrete one
export type Operations = Readonly<Record<string, Operation<any, any>>>

export type InputOf<O> = O extends Operation<infer Input, unknown> ? Input : never
export type OutputOf<O> = O extends Operation<infer _, infer Output> ? Output : never
