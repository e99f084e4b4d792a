import type { KeelsonError } from '../../kernel/errors.ts'
import type { Agent, AgentOutput } from '../agents/index.ts'
import { type NewMessage, textOf } from '../sessions/index.ts'
import type { Checked } from '../tools/index.ts'
import { loopErrors } from './errors.ts'
import { unlessAborted } from './pause.ts'
import type { StepResult } from './step-result.ts'
import type { TurnOutcome } from './turn-handle.ts'
import type { TurnRun } from './turn-run.ts'

const refusal = 'Your answer is not what was asked for:'

/**
 * Decides about the answer that would complete a turn. Null when it may: it fits, or the agent answers in plain text.
 * The first one that does not fit is stored, and the model is told what is wrong with it; for the next the error with
 * which the turn fails is given back.
 */
export async function refuseAnswer(
  run: TurnRun,
  result: StepResult,
  answer: NewMessage,
): Promise<'asked-again' | KeelsonError | null> {
  const { agent, signal } = run.input
  if (agent.output === null) return null
  const checked = await unlessAborted(readOutput(agent.output, result.text), signal)
  if (checked.ok) return null
  const problems =
    result.reason === 'length' ? ['it was cut off at the most tokens it may have; be shorter'] : checked.problems
  if (run.steps >= agent.maxSteps || wasAskedAgain(run)) return invalid(problems)
  const text = `${refusal}\n${problems.map((problem) => `- ${problem}`).join('\n')}\nAnswer again with the JSON object alone.`
  await run.commit({ messages: [answer, run.message('user', [{ type: 'text', text }])] })
  return 'asked-again'
}

/** By what is stored, so that a crash does not make it forgotten. The user's own message is not taken for it. */
function wasAskedAgain({ input: { history, started } }: TurnRun): boolean {
  const own = started.turn.input.map((part) => (part.type === 'text' ? (part.modelText ?? part.text) : '')).join('')
  for (const { role, parts } of history.messages.toReversed()) {
    if (role !== 'user') continue
    const text = textOf(parts)
    if (text === own) return false
    if (text.startsWith(refusal)) return true
  }
  return false
}

const invalid = (problems: readonly string[]): KeelsonError =>
  loopErrors.OUTPUT_INVALID({
    message: `the answer does not fit the output of the agent: ${problems.join('; ')}`,
    details: { problems },
  })

/** The output of a turn that was completed, from the text of its answer, here or anywhere. */
export async function outputOf({ id, output }: Agent, outcome: TurnOutcome): Promise<unknown> {
  if (output === null) throw loopErrors.OUTPUT_UNDECLARED({ details: { agent: id } })
  if (outcome.status === 'waiting') throw loopErrors.OUTPUT_PENDING({ details: { turn: outcome.turn } })
  const checked = await readOutput(output, outcome.text)
  if (!checked.ok) throw invalid(checked.problems)
  return checked.value
}

async function readOutput(output: AgentOutput, text: string): Promise<Checked> {
  let value: unknown
  try {
    value = JSON.parse(withoutFence(text))
  } catch {
    return { ok: false, problems: [text.trim() === '' ? 'it is empty' : 'it is not valid JSON'] }
  }
  return await output.check(value)
}

/** Models put a fence around JSON although they are told not to. */
const withoutFence = (text: string): string => /^\s*```(?:json)?\s*\n([\s\S]*?)\n?\s*```\s*$/.exec(text)?.[1] ?? text
