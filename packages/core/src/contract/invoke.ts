import { type CallContext, isOperator, type RequestOrigin } from '../kernel/context.ts'
import { defineErrors } from '../kernel/errors.ts'
import type { InputOf, Operation, Operations, OutputOf } from './operation.ts'

export const accessErrors = defineErrors({
  UNAUTHENTICATED: { kind: 'unauthenticated', message: 'credentials are missing or wrong' },
  FORBIDDEN: { kind: 'forbidden', message: 'only an operator may do this' },
  ORIGIN_REFUSED: {
    kind: 'forbidden',
    message: 'a write with credentials that a browser sends by itself must come from the same origin',
  },
})

/** The functions behind a capability's operations; the compiler demands every one of them. */
export type Implementation<Ops extends Operations> = {
  readonly [Name in keyof Ops]: (
    context: CallContext,
    input: InputOf<Ops[Name]>,
  ) => OutputOf<Ops[Name]> | Promise<OutputOf<Ops[Name]>>
}

/** The same operations as a caller sees them: who calls is known, the result is a promise. */
export type Door<Ops extends Operations> = {
  readonly [Name in keyof Ops]: (...input: Given<InputOf<Ops[Name]>>) => Promise<OutputOf<Ops[Name]>>
}

/** The arguments of a call: none without an input, and one that may be left out where the operation does without. */
// biome-ignore lint/suspicious/noConfusingVoidType: the input of an operation that takes none
type Given<Input> = [Input] extends [void] ? [] : undefined extends Input ? [input?: Input] : [input: Input]

/** Throws unless the caller may use the operation. Every call from HTTP or from code passes here. */
export function authorize({ auth, effect }: Operation, { principal, requestOrigin }: CallContext): void {
  if (auth !== 'open' && principal.via === 'none') throw accessErrors.UNAUTHENTICATED()
  if (auth === 'operator' && !isOperator(principal)) throw accessErrors.FORBIDDEN()
  if (effect === 'write' && principal.ambient && requestOrigin && !sameOrigin(requestOrigin)) {
    throw accessErrors.ORIGIN_REFUSED()
  }
}

/** Programs send no Origin; browsers send one with every request that could write. */
function sameOrigin({ origin, host }: RequestOrigin): boolean {
  if (origin === undefined) return true
  if (host === undefined || !URL.canParse(origin)) return false
  return new URL(origin).host === host.toLowerCase()
}

/** Resolves when operations can be served; undefined when they can be at once. */
export type Ready = () => Promise<void> | undefined

/** Calls any of the operations as somebody. */
export type OperationCaller = <Input, Output>(
  context: CallContext,
  operation: Operation<Input, Output>,
  input: Input,
) => Promise<Output>

/** Makes the function that calls the operations by what they are, for callers that know no client. */
export function createCaller(
  ...capabilities: readonly (readonly [Operations, Readonly<Record<string, unknown>>])[]
): OperationCaller {
  const implementations = new Map<Operation, (context: CallContext, input: unknown) => unknown>()
  for (const [operations, implementation] of capabilities) {
    for (const [name, each] of Object.entries(operations)) {
      implementations.set(each, implementation[name] as (context: CallContext, input: unknown) => unknown)
    }
  }
  return async <Input, Output>(context: CallContext, called: Operation<Input, Output>, input: Input) => {
    authorize(called as Operation, context)
    const run = implementations.get(called as Operation)
    if (!run) throw new TypeError('the operation belongs to no capability of this runtime')
    return (await run(context, input)) as Output
  }
}

/** Makes the class whose instances are a capability's door for one caller. Called once per runtime, not per request. */
export function createDoor<const Ops extends Operations>(
  operations: Ops,
  implementation: Implementation<Ops>,
  ready: Ready,
): new (
  context: CallContext,
) => Door<Ops> {
  class CapabilityDoor {
    readonly #context: CallContext
    constructor(context: CallContext) {
      this.#context = context
    }
    static async invoke(door: CapabilityDoor, name: keyof Ops & string, input: unknown) {
      const context = door.#context
      authorize(operations[name] as Operation, context)
      const starting = ready()
      if (starting !== undefined) await starting
      return await (implementation[name] as (context: CallContext, input: unknown) => unknown)(context, input)
    }
  }
  for (const name of Object.keys(operations)) {
    Object.defineProperty(CapabilityDoor.prototype, name, {
      value(this: CapabilityDoor, input: unknown) {
        return CapabilityDoor.invoke(this, name, input)
      },
    })
  }
  return CapabilityDoor as unknown as new (
    context: CallContext,
  ) => Door<Ops>
}
