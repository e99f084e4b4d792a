// Run after `npm install` has changed package-lock.json: adds what npm left out because its registry does not serve the
// binaries of every platform. Without that, `npm ci` refuses the file.
import { writeFileSync } from 'node:fs'
import { completeLockfile, lockfilePath, readLockfile } from './packages/lockfile.ts'

const { lockfile, added } = completeLockfile(readLockfile())
if (added.length > 0) writeFileSync(lockfilePath, `${JSON.stringify(lockfile, null, 2)}\n`)
console.log(`package-lock.json: ${added.length} added${added.map((path) => `\n  ${path}`).join('')}`)
