import { describe } from 'vitest'
import { describeAccept } from './loop-accept.ts'
import { describeCancel } from './loop-cancel.ts'
import { describeCommit } from './loop-commit.ts'
import { describeFences } from './loop-fences.ts'
import { describeRecovery } from './loop-recovery.ts'
import type { StoreSubject } from './scene.ts'

export function describeLoop(subject: StoreSubject): void {
  describe('loop', () => {
    describeAccept(subject)
    describeCommit(subject)
    describeFences(subject)
    describeCancel(subject)
    describeRecovery(subject)
  })
}
