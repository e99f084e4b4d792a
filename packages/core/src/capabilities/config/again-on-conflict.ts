import { isKeelsonError } from '../../kernel/errors.ts'

const mostTries = 5

/** Makes a change anew while others change the configuration in between. `attempt` reads what it changes each time. */
export async function againOnConflict<Result>(attempt: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt()
    } catch (error) {
      if (!isKeelsonError(error) || error.code !== 'CONFIG_CONFLICT' || tries === mostTries) throw error
    }
  }
}
