import type { Approval } from '../../capabilities/approvals/index.ts'
import { excerpt, rowTime } from './formats.ts'
import { fill, type Texts } from './texts.ts'

const longestArguments = 200

/** The question for a person; the next message of the session answers it. */
export const permissionPrompt = (approval: Approval, { approval: texts }: Texts) => ({
  type: 'permission_prompt',
  id: approval.id,
  tool: approval.tool,
  arguments: approval.arguments,
  prompt: fill(texts.prompt, { tool: approval.tool, arguments: excerpt(approval.arguments, longestArguments) }),
  reason: approval.reason,
  options: [
    { id: 'yes', label: texts.yes },
    { id: 'no', label: texts.no },
  ],
  expires_at: rowTime(approval.expiresAt),
})
