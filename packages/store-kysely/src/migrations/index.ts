import { approvals1 } from './approvals-1.ts'
import { approvals2 } from './approvals-2.ts'
import { breakers1 } from './breakers-1.ts'
import { config1 } from './config-1.ts'
import { connectors1 } from './connectors-1.ts'
import { costs1 } from './costs-1.ts'
import { loop1 } from './loop-1.ts'
import { loop2 } from './loop-2.ts'
import { memory1 } from './memory-1.ts'
import { memory2 } from './memory-2.ts'
import type { Migration } from './migration.ts'
import { sessions1 } from './sessions-1.ts'
import { sessions2 } from './sessions-2.ts'
import { vault1 } from './vault-1.ts'

/** In the order in which they are applied: a table comes after those it refers to, a higher number after a lower one. */
export const migrations: readonly Migration[] = [
  sessions1,
  loop1,
  approvals1,
  breakers1,
  costs1,
  loop2,
  memory1,
  config1,
  vault1,
  connectors1,
  sessions2,
  approvals2,
  memory2,
]
