import type { Clock } from '../../kernel/clock.ts'
import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { ToolContext } from '../tools/index.ts'
import type { ConnectorDefinition } from './connector.ts'
import type { ConnectorStatus } from './contract.ts'
import { type Connection, ConnectionFailure, type ConnectorDriver } from './driver.ts'
import { connectorErrors } from './errors.ts'
import { OutputTail } from './output-tail.ts'
import { type Redactor, redactorOf } from './redact.ts'
import { type OfferedTool, offeredTools, sameTools } from './remote-tools.ts'

/** A connection that has lasted so long counts as one that worked. */
const steadyMs = 60_000
const pingMs = 10_000

export interface LinkOptions {
  readonly definition: ConnectorDefinition
  readonly driver: ConnectorDriver
  readonly trusted: boolean
  readonly clock: Clock
  /** Rejects with `CONNECTOR_SECRET_MISSING`, or as the vault does. */
  secrets(): Promise<Readonly<Record<string, string>>>
  succeeded(): void
  failed(text: string): void
  /** The tools are others than before. */
  changed(): void
  report(error: unknown): void
}

/** One connector's connection on this instance: opened when it is needed, and again when it was lost. */
export class Link {
  readonly definition: ConnectorDefinition
  /** Null until the server has told them once. They stay known while the connection is lost. */
  tools: readonly OfferedTool[] | null = null
  failure: KeelsonError | null = null
  readonly #options: LinkOptions
  #status: ConnectorStatus
  #connection: Connection | null = null
  #connecting: Promise<void> | null = null
  #aborter = new AbortController()
  #cancelTimer = () => {}
  #cancelHealth = () => {}
  #failures = 0
  #failedAt = 0
  #openCalls = 0
  #usedAt = 0
  #refreshing: Promise<void> | null = null
  #refreshAgain = false
  #redact: Redactor = redactorOf([])
  #tail = new OutputTail()

  constructor(options: LinkOptions) {
    this.#options = options
    this.definition = options.definition
    this.#status = options.definition.enabled === false ? 'disabled' : 'idle'
  }

  get status(): ConnectorStatus {
    return this.#status
  }

  /** Resolves when the tools are known. A connector that is down fails at once with why, and is tried again by itself. */
  async ready(): Promise<readonly OfferedTool[]> {
    if (this.tools === null || this.#status === 'disabled' || this.#status === 'stopped') await this.#connected()
    return this.tools ?? []
  }

  /** Connects now, whatever happened before, and waits for it. */
  async start(): Promise<void> {
    if (this.#status === 'disabled') throw connectorErrors.CONNECTOR_DISABLED()
    this.#failures = 0
    if (this.#status === 'stopped') this.#options.changed()
    if (this.#status !== 'connected') await this.#open()
  }

  async stop(status: 'stopped' | 'idle' = 'stopped'): Promise<void> {
    if (this.#status === 'disabled') return
    if (status === 'stopped') this.#options.changed()
    this.#status = status
    this.#aborter.abort(connectorErrors.CONNECTOR_STOPPED())
    this.#aborter = new AbortController()
    this.#cancelTimer()
    this.#cancelHealth()
    const connection = this.#connection
    this.#connection = null
    await connection?.close()
    await this.#connecting?.catch(() => {})
  }

  /** Asks the server for its tools anew. */
  async refresh(): Promise<readonly OfferedTool[]> {
    await this.#connected()
    await this.#guarded((connection) => this.#learn(connection, this.#aborter.signal))
    return this.tools ?? []
  }

  async #call(tool: string, args: JsonObject, { signal }: ToolContext): Promise<unknown> {
    await this.#connected()
    this.#openCalls += 1
    this.#usedAt = this.#options.clock.now()
    try {
      const timeoutMs = this.#options.driver.limits.callMs
      const result = await this.#guarded((connection) => connection.call(tool, args, { signal, timeoutMs }), signal)
      this.#options.succeeded()
      const output = this.#cleaned(result.output)
      if (!result.isError) return output
      throw new Error((typeof output === 'string' ? output : JSON.stringify(output)).replaceAll(/\s+/g, ' '))
    } finally {
      this.#openCalls -= 1
      this.#usedAt = this.#options.clock.now()
    }
  }

  /** Secrets that the server says again must not reach the model. */
  #cleaned(output: unknown): unknown {
    if (this.#redact.longest === 0) return output
    return typeof output === 'string' ? this.#redact(output) : JSON.parse(this.#redact(JSON.stringify(output)))
  }

  /** Runs a request; one that shows the connection to be broken ends it, so that it is made anew. */
  async #guarded<Value>(request: (connection: Connection) => Promise<Value>, signal?: AbortSignal): Promise<Value> {
    const connection = this.#connection
    if (!connection) throw this.failure ?? connectorErrors.CONNECTOR_STOPPED()
    try {
      return await request(connection)
    } catch (error) {
      if (signal?.aborted) throw error
      if (error instanceof ConnectionFailure) {
        this.#lost(connection, error)
        throw this.failure ?? this.#failureOf(error)
      }
      const clean = new Error(this.#redact(String(error instanceof Error ? error.message : error)))
      this.#note(clean.message)
      throw clean
    }
  }

  async #connected(): Promise<void> {
    const { clock, driver } = this.#options
    switch (this.#status) {
      case 'connected':
        return
      case 'disabled':
        throw connectorErrors.CONNECTOR_DISABLED({ message: `the connector "${this.definition.name}" is disabled` })
      case 'stopped':
        throw connectorErrors.CONNECTOR_STOPPED({ message: `the connector "${this.definition.name}" was stopped` })
      case 'waiting':
        throw this.failure ?? connectorErrors.CONNECTOR_FAILED()
      case 'failed':
        // Somebody needs it: a server that was gone for hours may be back.
        if (clock.now() - this.#failedAt < driver.limits.longestBackoffMs && this.failure) throw this.failure
        break
    }
    await this.#open()
  }

  #open(): Promise<void> {
    this.#cancelTimer()
    this.#connecting ??= this.#attempt().finally(() => {
      this.#connecting = null
    })
    return this.#connecting
  }

  async #attempt(): Promise<void> {
    const { clock, definition, driver, secrets, trusted } = this.#options
    this.#status = 'connecting'
    const stopped = this.#aborter.signal
    const timeout = new AbortController()
    const cancelTimeout = clock.after(driver.limits.startMs, () =>
      timeout.abort(new ConnectionFailure(`no answer within ${driver.limits.startMs} ms`)),
    )
    const signal = AbortSignal.any([stopped, timeout.signal])
    const tail = new OutputTail()
    this.#tail = tail
    let connection: Connection | null = null
    let lost: ConnectionFailure | null = null
    try {
      const values = await secrets()
      this.#redact = redactorOf(Object.values(values))
      signal.throwIfAborted()
      connection = await driver.open({
        definition,
        secrets: values,
        trusted,
        signal,
        wrote: (text) => tail.add(text),
        changed: () => this.#toolsChanged(),
        ended: (failure) => {
          lost = failure
          if (connection) this.#lost(connection, failure)
        },
      })
      await this.#learn(connection, signal)
      signal.throwIfAborted()
      if (lost) throw lost
      this.#connection = connection
      this.#status = 'connected'
      this.failure = null
      this.#usedAt = clock.now()
      this.#watch(connection)
      const steady = connection
      this.#cancelTimer = clock.after(steadyMs, () => {
        if (this.#connection === steady) this.#failures = 0
      })
      this.#options.succeeded()
    } catch (error) {
      // Closing may take its time; nobody has to wait for it to be told why.
      connection?.close().catch(this.#options.report)
      const reason = stopped.aborted ? stopped.reason : timeout.signal.aborted ? timeout.signal.reason : error
      if (stopped.aborted) throw reason
      throw this.#failed(reason)
    } finally {
      cancelTimeout()
    }
  }

  /** Takes the tools that a server tells; the same ones change nothing. */
  async #learn(connection: Connection, signal: AbortSignal): Promise<void> {
    const { definition, driver, report } = this.#options
    const remotes = await connection.tools(signal)
    const call = (tool: string, args: JsonObject, context: ToolContext) => this.#call(tool, args, context)
    const offered = offeredTools(definition, remotes, driver.limits, call, (problem) =>
      report(connectorErrors.CONNECTOR_INVALID({ message: `connector "${definition.name}": ${problem}` })),
    )
    if (this.tools !== null && sameTools(this.tools, offered)) return
    this.tools = offered
    this.#options.changed()
  }

  /** One question at a time; of notices that come meanwhile one more follows. */
  #toolsChanged(): void {
    this.#refreshAgain = true
    this.#refreshing ??= (async () => {
      await this.#connecting?.catch(() => {})
      while (this.#refreshAgain && this.#connection) {
        this.#refreshAgain = false
        const { signal } = this.#aborter
        await this.#guarded((connection) => this.#learn(connection, signal), signal).catch(() => {})
      }
      this.#refreshing = null
    })()
  }

  /** Looks now and then whether the server answers. One that works on a call is left in peace. */
  #watch(connection: Connection): void {
    const { clock, driver, report } = this.#options
    const look = async (): Promise<void> => {
      if (this.#connection !== connection) return
      if (this.#openCalls === 0) {
        if (clock.now() - this.#usedAt >= driver.limits.idleMs) return await this.stop('idle')
        const failure = await this.#silent(connection)
        if (failure && this.#connection === connection && this.#openCalls === 0) return this.#lost(connection, failure)
      }
      if (this.#connection === connection) this.#watch(connection)
    }
    this.#cancelHealth = clock.after(driver.limits.healthMs, () => {
      look().catch(report)
    })
  }

  async #silent(connection: Connection): Promise<ConnectionFailure | null> {
    const aborter = new AbortController()
    const failure = new ConnectionFailure(`no answer within ${pingMs} ms`)
    const cancel = this.#options.clock.after(pingMs, () => aborter.abort(failure))
    try {
      await connection.ping(aborter.signal)
      return null
    } catch (error) {
      // A server that does not know the question has answered it.
      return aborter.signal.aborted ? failure : error instanceof ConnectionFailure ? error : null
    } finally {
      cancel()
    }
  }

  #lost(connection: Connection, failure: ConnectionFailure): void {
    if (this.#connection !== connection) return
    this.#connection = null
    this.#cancelHealth()
    connection.close().catch(this.#options.report)
    this.#failed(failure)
  }

  /** Notes why, and has it tried again later unless that would not help. */
  #failed(reason: unknown): KeelsonError {
    const { clock, driver } = this.#options
    const { attempts, backoffMs, longestBackoffMs } = driver.limits
    const failure = this.#failureOf(reason)
    this.failure = failure
    this.#failures += 1
    this.#failedAt = clock.now()
    const permanent = isKeelsonError(reason) || (reason instanceof ConnectionFailure && reason.permanent)
    this.#cancelTimer()
    if (permanent || this.#failures >= attempts) this.#status = 'failed'
    else {
      this.#status = 'waiting'
      const wait = Math.min(backoffMs * 2 ** (this.#failures - 1), longestBackoffMs)
      this.#cancelTimer = clock.after(wait / 2 + (Math.random() * wait) / 2, () => {
        this.#open().catch(() => {})
      })
    }
    const output = this.#tail.text(this.#redact)
    this.#note(output === '' ? failure.message : `${failure.message}. It wrote: ${output}`)
    return failure
  }

  #failureOf(reason: unknown): KeelsonError {
    if (isKeelsonError(reason)) return reason
    const why = this.#redact(String(reason instanceof Error ? reason.message : reason)).slice(0, 300)
    const output = this.#tail.text(this.#redact)
    return connectorErrors.CONNECTOR_FAILED({
      message: `the connector "${this.definition.name}" failed: ${why}`,
      ...(output === '' ? {} : { details: { output } }),
      cause: new Error(why),
    })
  }

  #note(text: string): void {
    this.#options.failed(text.slice(0, 500))
  }
}
