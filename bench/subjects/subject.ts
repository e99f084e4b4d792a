import type { Script } from '../harness/script.ts'

/** An agent that does the script's work, each time in a fresh conversation. */
export interface Subject {
  /** One turn; the reply's text. */
  turn(text: string): Promise<string>
  /** One turn; the reply's pieces as they come. */
  stream(text: string): AsyncIterable<string>
}

export type CreateSubject = (script: Script) => Subject | Promise<Subject>

interface SubjectModule {
  readonly create: CreateSubject
}

/** Subjects by name. Those of other libraries reject when these are not installed. */
const subjects: Readonly<Record<string, () => Promise<SubjectModule>>> = {
  raw: () => import('./raw.ts'),
  lean: () => import('./lean.ts'),
  keelson: () => import('./keelson.ts'),
  'ai 7': () => import('./ai.ts'),
  '@openai/agents': () => import('./openai-agents.ts'),
}

export async function createSubject(name: string, script: Script): Promise<Subject> {
  const load = subjects[name]
  if (!load) throw new Error(`there is no subject ${name}`)
  return (await load()).create(script)
}
