// Kills a working process again and again, and checks after every death that nothing was lost and nothing run twice.
// Usage: node --conditions=keelson-source scripts/soak.ts [kills]
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Order } from './soak/child.ts'
import { openDead } from './soak/database.ts'
import { checkAll } from './soak/invariants.ts'

const kills = Number(process.argv[2] ?? 300)
const folder = mkdtempSync(join(tmpdir(), 'keelson-soak-'))
const begun = performance.now()
const complaints: string[] = []
const complain = (what: string, id: string): void => {
  complaints.push(`${what}: ${id}`)
}

/** A process that has loaded its code and waits for an order. */
async function load(): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'soak/child.ts'), [folder], {
    execArgv: ['--conditions=keelson-source'],
    env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'cache') },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  child.on('message', (message) => {
    if (typeof message === 'object' && message !== null && 'complaint' in message)
      complain(String(message.complaint), '')
  })
  await once(child, 'message')
  return child
}

const order = (child: ChildProcess, what: Order): void => {
  if (child.connected) child.send(what)
}

/** Deaths of one era. Its sessions are left alone afterwards, so that every check has about as much to look at. */
const eraLength = 12

async function kill(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

function check(settled: boolean, since: number) {
  const database = openDead(join(folder, 'soak.db'))
  try {
    return checkAll(database, folder, complain, { settled, since })
  } finally {
    database.close()
  }
}

let next = load()
let checkedAt = 0
for (let death = 1; death <= kills && complaints.length === 0; death += 1) {
  const child = await next
  next = load()
  order(child, { what: 'work', era: Math.floor(death / eraLength) })
  // Most die at work, some while they take over what the one before has left, some while they shut down.
  const early = death > 1 && Math.random() < 0.2
  if (!early) await once(child, 'message')
  await sleep(early ? Math.random() * 60 : 20 + Math.random() * 350)
  if (Math.random() < 0.15) {
    order(child, { what: 'stop' })
    await sleep(Math.random() * 40)
  }
  await kill(child)
  const at = Date.now()
  check(false, checkedAt)
  checkedAt = at - 5_000
  if (death % 50 === 0) console.log(`${death} kills, ${((performance.now() - begun) / 1_000).toFixed(0)} s`)
}

const last = await next
if (complaints.length === 0) {
  order(last, { what: 'settle' })
  await once(last, 'exit')
  const { turns, toolRuns, resumed, interrupted } = check(true, 0)
  const byStatus = Object.entries(turns).map(([status, count]) => `${count} ${status}`)
  console.log(`kills ${kills}`)
  console.log(`turns ${byStatus.join(', ')}`)
  console.log(`tool runs ${toolRuns}, resumed ${resumed}, interrupted ${interrupted}`)
  console.log(`seconds ${((performance.now() - begun) / 1_000).toFixed(1)}`)
} else {
  await kill(last)
}

for (const complaint of complaints.slice(0, 20)) console.error(complaint)
console.log(complaints.length === 0 ? 'no violation' : `${complaints.length} violations, see ${folder}`)
if (complaints.length === 0) rmSync(folder, { recursive: true, force: true })
else process.exitCode = 1
