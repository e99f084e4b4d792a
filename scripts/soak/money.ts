import type { TurnEvent } from '@keelson/core'
import type { DeadDatabase, LedgerRow, TurnRow } from './database.ts'

type Complain = (what: string, id: string) => void

/** The ledger has every step that was finished, with its tokens, and its money is the turn's. */
export function checkLedger(
  turn: TurnRow,
  events: readonly TurnEvent[],
  rows: readonly LedgerRow[],
  complain: Complain,
) {
  const { cost, id, usage } = turn
  const settled = rows.filter(({ outcome }) => outcome === 'settled')
  const finished = events.filter(({ type }) => type === 'step.finished').length
  if (settled.length !== finished) complain(`${finished} steps, ${settled.length} in the ledger`, id)
  const counted = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 }
  for (const row of settled) {
    counted.input += row.input
    counted.cacheRead += row.cache_read
    counted.cacheWrite += row.cache_write
    counted.output += row.output
    counted.reasoning += row.reasoning
  }
  for (const bucket of ['input', 'cacheRead', 'cacheWrite', 'output', 'reasoning'] as const) {
    if (counted[bucket] !== usage[bucket])
      complain(`${bucket} is ${usage[bucket]}, the ledger says ${counted[bucket]}`, id)
  }
  const paid = rows.reduce((sum, row) => sum + row.cost, 0)
  if (paid !== (cost ?? 0)) complain(`it cost ${cost}, the ledger says ${paid}`, id)
}

/** No budget is overspent, none holds money for a step that does not run, and every sum is that of the ledger. */
export function checkMoney(database: DeadDatabase, settled: boolean, complain: Complain): void {
  const held = new Map<string, number>()
  const turns = new Set<string>()
  for (const { amount, entry, id, status, steps, turn, windows } of database.reservations()) {
    if (settled) complain('a reservation outlived everything', id)
    if (status !== 'running') complain(`money is held for a turn that is ${status}`, id)
    if (steps !== null && entry.step !== steps + 1) complain(`money is held for step ${entry.step} after ${steps}`, id)
    if (turn !== null && turns.has(turn)) complain('a turn holds money twice', turn)
    if (turn !== null) turns.add(turn)
    for (const { key } of windows) held.set(key, (held.get(key) ?? 0) + amount)
  }
  for (const { amount, key, paid, reserved, spent } of database.budgets()) {
    if (spent + reserved > amount) complain(`of ${amount}, ${spent} is spent and ${reserved} is held`, key)
    if (spent !== paid) complain(`${spent} is spent, the ledger says ${paid}`, key)
    if (reserved !== (held.get(key) ?? 0)) complain(`${reserved} is held, reservations say ${held.get(key) ?? 0}`, key)
  }
  const { calls, cost, days, hours } = database.totals()
  for (const sums of [days, hours]) {
    if (calls > 0 && sums !== `${calls} ${cost}`) complain(`the ledger has ${calls} ${cost}, its roll-ups ${sums}`, '')
  }
}
