import { type Agent, agentOperations } from './capabilities/agents/index.ts'
import { approvalOperations } from './capabilities/approvals/index.ts'
import { breakerOperations } from './capabilities/breakers/index.ts'
import { configOperations, providerKeyOperations, settingOperations } from './capabilities/config/index.ts'
import { connectorOperations } from './capabilities/connectors/index.ts'
import { costOperations } from './capabilities/costs/index.ts'
import {
  attachOperation,
  type RunOptions,
  runOperation,
  type TurnHandle,
  turnOperations,
} from './capabilities/loop/index.ts'
import type { Loop } from './capabilities/loop/service.ts'
import { noteOperations } from './capabilities/memory/index.ts'
import { modelOperations } from './capabilities/models/index.ts'
import { observatoryOperations } from './capabilities/observatory/index.ts'
import { realtimeOperations } from './capabilities/realtime/index.ts'
import { sessionOperations } from './capabilities/sessions/index.ts'
import { systemOperations } from './capabilities/system/index.ts'
import { vaultOperations } from './capabilities/vault/index.ts'
import { authorize, createDoor, type Door, type Implementation, type Ready } from './contract/invoke.ts'
import type { CallContext } from './kernel/context.ts'

/** Everything a caller can do. Every call is authorised as that caller. */
export interface Client {
  /**
   * Starts a turn of an agent. Returns at once; the handle tells when it is stored. The agent is the registered one of
   * this id; given as it was defined, it types the handle's `output`.
   */
  run<Output = unknown>(agent: string | Agent<Output>, options: RunOptions): TurnHandle<Output>
  /** A turn that was started before, here or elsewhere: its events, and what comes of it. `agent` types its `output`. */
  attach<Output = unknown>(turn: string, agent?: Agent<Output>): TurnHandle<Output>
  /** Agents as the active configuration has them. */
  readonly agents: Door<typeof agentOperations>
  /** Tool calls that wait for a person: list and decide them. */
  readonly approvals: Door<typeof approvalOperations>
  /** Which providers may be called: look, reset, force open. */
  readonly breakers: Door<typeof breakerOperations>
  /** Generations of overrides over the code: change, compare, roll back. Operators only. */
  readonly config: Door<typeof configOperations>
  /** Links to MCP servers. Operators only. */
  readonly connectors: Door<typeof connectorOperations>
  /** What was spent, by whom and on what; budgets and what is left of them. */
  readonly costs: Door<typeof costOperations>
  /** Models and providers; vectors, transcripts, and single completions outside of turns. */
  readonly models: Door<typeof modelOperations>
  /** Notes of the caller: write, find, archive. */
  readonly notes: Door<typeof noteOperations>
  /** How a turn was answered: steps, tool calls, context, selection. */
  readonly observatory: Door<typeof observatoryOperations>
  /** API keys that a tenant has for its providers. Operators only. */
  readonly providerKeys: Door<typeof providerKeyOperations>
  /** Events of all turns within reach, as they happen on this instance. */
  readonly realtime: Door<typeof realtimeOperations>
  /** Conversations, their messages and turns as they are stored. */
  readonly sessions: Door<typeof sessionOperations>
  /** Values of `defineSettings`. Operators only. */
  readonly settings: Door<typeof settingOperations>
  /** Health and version. */
  readonly system: Door<typeof systemOperations>
  /** Turns that run or wait: cancel, decide, follow. `run` starts one. */
  readonly turns: Door<typeof turnOperations>
  /** Secrets of a tenant: put, list, remove, rotate; nothing gives one back. Operators only. */
  readonly vault: Door<typeof vaultOperations>
}

/** What the operations are carried out by. */
export interface Services {
  readonly agents: Implementation<typeof agentOperations>
  readonly approvals: Implementation<typeof approvalOperations>
  readonly breakers: Implementation<typeof breakerOperations>
  readonly config: Implementation<typeof configOperations>
  readonly connectors: Implementation<typeof connectorOperations>
  readonly costs: Implementation<typeof costOperations>
  readonly loop: Loop
  readonly models: Implementation<typeof modelOperations>
  readonly notes: Implementation<typeof noteOperations>
  readonly observatory: Implementation<typeof observatoryOperations>
  readonly providerKeys: Implementation<typeof providerKeyOperations>
  readonly realtime: Implementation<typeof realtimeOperations>
  readonly sessions: Implementation<typeof sessionOperations>
  readonly settings: Implementation<typeof settingOperations>
  readonly system: Implementation<typeof systemOperations>
  readonly vault: Implementation<typeof vaultOperations>
}

/** Makes the clients of callers. Their doors are made once; `ready` is asked before every call that needs the store. */
export function createClients(services: Services, ready: Ready): (context: CallContext) => Client {
  const { loop } = services
  const doors = {
    agents: createDoor(agentOperations, services.agents, ready),
    approvals: createDoor(approvalOperations, services.approvals, ready),
    breakers: createDoor(breakerOperations, services.breakers, ready),
    config: createDoor(configOperations, services.config, ready),
    connectors: createDoor(connectorOperations, services.connectors, ready),
    costs: createDoor(costOperations, services.costs, ready),
    models: createDoor(modelOperations, services.models, ready),
    notes: createDoor(noteOperations, services.notes, ready),
    observatory: createDoor(observatoryOperations, services.observatory, ready),
    providerKeys: createDoor(providerKeyOperations, services.providerKeys, ready),
    realtime: createDoor(realtimeOperations, services.realtime, ready),
    sessions: createDoor(sessionOperations, services.sessions, ready),
    settings: createDoor(settingOperations, services.settings, ready),
    system: createDoor(systemOperations, services.system, () => undefined),
    turns: createDoor(turnOperations, loop, ready),
    vault: createDoor(vaultOperations, services.vault, ready),
  }

  class RuntimeClient implements Client {
    readonly #context: CallContext
    constructor(context: CallContext) {
      this.#context = context
    }
    run<Output>(agent: string | Agent<Output>, runOptions: RunOptions) {
      authorize(runOperation, this.#context)
      const id = typeof agent === 'string' ? agent : agent.id
      return loop.run(this.#context, id, runOptions) as TurnHandle<Output>
    }
    attach<Output>(turn: string) {
      authorize(attachOperation, this.#context)
      return loop.attach(this.#context, turn) as TurnHandle<Output>
    }
    get agents() {
      return new doors.agents(this.#context)
    }
    get approvals() {
      return new doors.approvals(this.#context)
    }
    get breakers() {
      return new doors.breakers(this.#context)
    }
    get config() {
      return new doors.config(this.#context)
    }
    get connectors() {
      return new doors.connectors(this.#context)
    }
    get costs() {
      return new doors.costs(this.#context)
    }
    get models() {
      return new doors.models(this.#context)
    }
    get notes() {
      return new doors.notes(this.#context)
    }
    get observatory() {
      return new doors.observatory(this.#context)
    }
    get providerKeys() {
      return new doors.providerKeys(this.#context)
    }
    get realtime() {
      return new doors.realtime(this.#context)
    }
    get sessions() {
      return new doors.sessions(this.#context)
    }
    get settings() {
      return new doors.settings(this.#context)
    }
    get system() {
      return new doors.system(this.#context)
    }
    get turns() {
      return new doors.turns(this.#context)
    }
    get vault() {
      return new doors.vault(this.#context)
    }
  }

  return (context) => new RuntimeClient(context)
}
