export type { Agent, AgentDefinition, AgentOutput } from './agent.ts'
export { agentErrors, agentOperations } from './contract.ts'
export type { Agents } from './service.ts'
export { defineAgent } from './service.ts'
