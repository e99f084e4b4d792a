import type { Client } from '../../runtime.ts'
import { currentAgent } from './current-agent.ts'
import { modelTitle, ruleTitle, titleInstructions, titleTokens } from './nickname.ts'
import type { Settings } from './options.ts'

/** A title needs no more of a message than this. */
const longestPrompt = 2_000
/** A model that fails so often in a row is not asked again: the caller waits for every call. */
const mostFailures = 3
/** Titles a model makes for one request; the rest follows the rules. */
const mostModelTitles = 100

/** Makes titles out of first messages, by the agent's model where it gives a fitting one, else by the rules. */
export function titleMaker(client: Client, settings: Settings): (firstMessage: string | null) => Promise<string> {
  let asked = 0
  let failures = 0
  let models: readonly string[] | undefined

  const ask = async (prompt: string): Promise<string | null> => {
    if (settings.nicknames === 'rules' || asked >= mostModelTitles || failures >= mostFailures) return null
    asked += 1
    try {
      models ??= (await currentAgent(client, settings)).models
      const request = { models, instructions: titleInstructions, prompt, maxOutputTokens: titleTokens }
      const { text } = await client.models.complete(request)
      failures = 0
      return modelTitle(text)
    } catch {
      failures += 1
      return null
    }
  }

  return async (message) => {
    const rule = ruleTitle(message)
    const text = message?.trim() ?? ''
    return text === '' ? rule : ((await ask(text.slice(0, longestPrompt))) ?? rule)
  }
}
