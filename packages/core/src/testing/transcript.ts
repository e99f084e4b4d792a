import type { TurnEvent } from '../capabilities/sessions/index.ts'

const longestLine = 500

const shortened = (text: string): string => (text.length > longestLine ? `${text.slice(0, longestLine)}…` : text)

/** A message and the events of its turn, as people read a conversation. */
export function transcriptOf({
  message,
  events,
}: {
  readonly message: string
  readonly events: readonly TurnEvent[]
}): string {
  const lines = [`user: ${shortened(message)}`]
  let text = ''
  const endText = () => {
    if (text !== '') lines.push(`assistant: ${shortened(text)}`)
    text = ''
  }
  const note = (line: string) => {
    endText()
    lines.push(`  ${shortened(line)}`)
  }
  for (const event of events) {
    switch (event.type) {
      case 'text.delta':
        text += event.text
        break
      case 'step.restarted':
        text = ''
        note(`begins again with ${event.model}: ${event.reason}`)
        break
      case 'tool.started':
        note(`calls ${event.tool}(${event.arguments})`)
        break
      case 'tool.finished':
        note(`${event.tool} ${event.status}: ${JSON.stringify(event.output)}`)
        break
      case 'approval.requested':
        note(`${event.tool} waits for approval`)
        break
      case 'approval.decided':
        note(event.status === 'expired' ? 'the approval has expired' : `a person has ${event.status} it`)
        break
      case 'turn.failed':
      case 'turn.interrupted':
        note(`${event.type.replace('turn.', '')}: ${event.error.code}: ${event.error.message}`)
        break
      case 'turn.cancelled':
        note('cancelled')
        break
    }
  }
  endText()
  return lines.join('\n')
}
