/** What one subject is asked to do in a child process. `setup` happens once; every round then does the same work. */
export interface Job {
  /** Does a round's work and answers with what was measured, by metric. */
  round(): Promise<Metrics> | Metrics
}

export type Metrics = Readonly<Record<string, number>>

/** Plain data that travels to the child. */
export type JobOptions = Readonly<Record<string, string | number | boolean>>

/** Prepares and warms a subject. Throws when it does not do the work it is asked for. */
export type StartJob = (subject: string, options: JobOptions) => Promise<Job>

/** What the parent sends, and what the child answers. */
export type Request =
  | { readonly kind: 'setup'; readonly job: string; readonly subject: string; readonly options: JobOptions }
  | { readonly kind: 'round' }

export type Response = { readonly metrics: Metrics } | { readonly error: string }
