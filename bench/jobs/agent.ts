import type { Job, Metrics, StartJob } from '../harness/job.ts'
import { counts, makeScript, type Script, userMessage } from '../harness/script.ts'
import { createSubject, type Subject } from '../subjects/subject.ts'

/** Turns of an agent: whole ones (`chunks` 1) or streamed ones. Options: `chunks`, `calls`, `roundMs`, `warmMs`. */
export const start: StartJob = async (name, { chunks = 1, calls = 0, roundMs = 200, warmMs = 1_000 }) => {
  const script = makeScript(Number(chunks), Number(calls))
  const subject = await createSubject(name, script)
  return Number(chunks) === 1
    ? await turnJob(subject, script, Number(roundMs), Number(warmMs))
    : await streamJob(subject, script, Number(chunks), Number(roundMs), Number(warmMs))
}

/** Fails when a subject's turn is not the work that the script describes. */
export async function checkTurn(subject: Subject, { expected }: Script): Promise<void> {
  counts.models = 0
  counts.tools = 0
  const text = await subject.turn(userMessage)
  if (text !== expected.text) throw new Error(`wrong reply: ${JSON.stringify(text).slice(0, 200)}`)
  if (counts.models !== expected.models || counts.tools !== expected.tools) {
    throw new Error(`not the same work: ${JSON.stringify(counts)}`)
  }
}

/** Of any subject, however slow it is and whatever else the machine does. */
const longestWarmMs = 20_000

async function turnJob(subject: Subject, script: Script, roundMs: number, warmMs: number): Promise<Job> {
  await checkTurn(subject, script)
  // Some peers need hundreds of turns until the compiler has settled. Work of others must not cut that short.
  let turns = 0
  const begin = performance.now()
  const spent = () => performance.now() - begin
  const cpu = process.threadCpuUsage()
  const warm = () => {
    const { user, system } = process.threadCpuUsage(cpu)
    return user + system >= warmMs * 1_000 && turns >= 300
  }
  while (spent() < longestWarmMs && !warm()) {
    await subject.turn(userMessage)
    turns += 1
  }
  // The clock is read once per batch of about 20 ms, so that it does not count against the fast ones.
  const batch = Math.max(1, Math.min(5_000, Math.floor((turns * 20) / spent())))
  await checkTurn(subject, script)
  return {
    round: () =>
      measure(roundMs, async () => {
        for (let turn = 0; turn < batch; turn += 1) await subject.turn(userMessage)
        return batch
      }),
  }
}

/** Does a piece of work again and again for `roundMs`; times per unit of what it says it has done. */
async function measure(roundMs: number, work: () => Promise<number>): Promise<Metrics> {
  const cpu = process.threadCpuUsage()
  const begin = performance.now()
  let units = 0
  let spent = 0
  do {
    units += await work()
    spent = performance.now() - begin
  } while (spent < roundMs)
  const { user, system } = process.threadCpuUsage(cpu)
  return { us: (spent * 1_000) / units, cpuUs: (user + system) / units }
}

async function streamJob(
  subject: Subject,
  { expected }: Script,
  chunks: number,
  roundMs: number,
  warmMs: number,
): Promise<Job> {
  const firsts: number[] = []
  const once = async () => {
    const begin = performance.now()
    let first = 0
    let length = 0
    for await (const text of subject.stream(userMessage)) {
      if (length === 0) first = performance.now() - begin
      length += text.length
    }
    if (length !== expected.text.length) throw new Error(`${length} of ${expected.text.length} characters came`)
    firsts.push(first)
    return chunks
  }
  const begin = performance.now()
  for (let turn = 0; turn < 4 || (turn < 300 && performance.now() - begin < warmMs); turn += 1) await once()
  return {
    async round() {
      firsts.length = 0
      const metrics = await measure(roundMs, once)
      return { ...metrics, firstMs: firsts.sort((a, b) => a - b)[firsts.length >> 1] ?? Number.NaN }
    },
  }
}
