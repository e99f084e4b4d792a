export type { Agent, AgentDefinition } from './agent.ts'
export { agentErrors, agentOperations } from './contract.ts'
export type { Agents } from './service.ts'
export { defineAgent } from './service.ts'
