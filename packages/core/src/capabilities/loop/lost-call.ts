import type { Agent } from '../agents/index.ts'
import type { Budget, CallSubject, EndedCall } from '../costs/index.ts'
import type { Model } from '../models/index.ts'
import { firstRequestBytes, historyBytes, outputBound } from './context.ts'
import type { LoopDependencies } from './dependencies.ts'
import { type History, sizeOf } from './history.ts'
import type { LostCall, ResumedTurn } from './store.ts'
import { subjectOf } from './turn-costs.ts'

export interface LostTurn {
  readonly turn: ResumedTurn['turn']
  readonly toolCalls: ResumedTurn['toolCalls']
  readonly lostCall: LostCall | null
}

/**
 * The model call that a turn may have been making when its process died, as far as anybody knows it. Null when the turn
 * was busy with its tools, or when budgets limit it: they would have set money aside for the call.
 */
export function lostCall(
  { accounting, models }: Pick<LoopDependencies, 'accounting' | 'models'>,
  { lostCall: lost, toolCalls, turn }: LostTurn,
  budgets: readonly Budget[],
  known: { readonly agent: Agent; readonly history: History } | null,
): EndedCall | null {
  // What was approved is carried out before any model is asked.
  if (lost === null || (turn.options.continues !== null && turn.steps === 0)) return null
  const unanswered = known?.history.unanswered(turn.id)
  const busy = toolCalls.some(
    ({ call, status, step }) => step === turn.steps && (unanswered?.has(call) ?? status === 'started'),
  )
  const id = lost.model ?? turn.selection?.chosen
  if (busy || id === undefined) return null
  const subject = subjectOf(turn, turn.steps + 1, budgets)
  const model = models.find(id)
  if (model === null) return budgets.length > 0 ? null : accounting.lost(subject, id, inputBytes(turn), lost.saidBytes)
  const sent = known ? firstRequestBytes(known.agent, []) + historyBytes(known.history) : inputBytes(turn)
  const bytes = Math.min(sent, 4 * model.contextTokens)
  const most = known ? outputBound(known.agent, model) : model.maxOutputTokens
  return isLimited(accounting, subject, model, bytes, most)
    ? null
    : accounting.lost(subject, model, bytes, lost.saidBytes)
}

const inputBytes = ({ input }: LostTurn['turn']): number => 4 * sizeOf(input).tokens

function isLimited(
  accounting: LoopDependencies['accounting'],
  subject: CallSubject,
  model: Model,
  bytes: number,
  most: number,
): boolean {
  try {
    return accounting.open(subject, model, bytes, most).reservation !== null
  } catch {
    // It was refused.
    return true
  }
}
