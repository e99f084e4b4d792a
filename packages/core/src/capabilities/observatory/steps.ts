import type { TurnEvent } from '../sessions/index.ts'
import type { TurnStep } from './contract.ts'

/** The steps of a turn, from its events in their order. */
export function stepsOf(events: Iterable<TurnEvent>): readonly TurnStep[] {
  const steps = new Map<number, { -readonly [Key in keyof TurnStep]: TurnStep[Key] }>()
  for (const event of events) {
    switch (event.type) {
      case 'step.started': {
        // Without a model it is the reply that is given when no model answers.
        if (event.model === '') break
        const known = steps.get(event.step)
        // A step that a dead instance had begun begins again.
        if (known) Object.assign(known, { model: event.model, restarts: known.restarts + 1, reasoning: '' })
        else {
          steps.set(event.step, {
            step: event.step,
            model: event.model,
            startedAt: event.at,
            finishedAt: null,
            durationMs: null,
            reason: null,
            usage: null,
            cost: null,
            restarts: 0,
            reasoning: '',
          })
        }
        break
      }
      case 'step.restarted': {
        const step = steps.get(event.step)
        if (step) Object.assign(step, { model: event.model, restarts: step.restarts + 1, reasoning: '' })
        break
      }
      case 'reasoning.delta': {
        const step = steps.get(event.step)
        if (step) step.reasoning += event.text
        break
      }
      case 'step.finished': {
        const step = steps.get(event.step)
        if (!step) break
        const { model, reason, usage, cost = null, at } = event
        const durationMs = Math.max(0, at - step.startedAt)
        Object.assign(step, { model, reason, usage, cost, finishedAt: at, durationMs })
        break
      }
    }
  }
  return [...steps.values()]
}
