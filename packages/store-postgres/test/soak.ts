import { pathToFileURL } from 'node:url'
import { endsTurn, type TurnEvent } from '@keelson/core'
import pg from 'pg'
import { type Instance, startInstance } from './instances.ts'
import { moneyProblems } from './money.ts'
import { newSchema, startPostgres } from './postgres-server.ts'

export interface SoakOptions {
  readonly url: string
  readonly schema: string
  readonly turns: number
  readonly sessions: number
  /** How many times one of the instances is killed and another started in its place. */
  readonly kills: number
  readonly leaseMs: number
}

export interface Soaked {
  /** What is not as it must be. */
  readonly problems: readonly string[]
  readonly takenOver: number
  /** Longest time between the last that an instance stored of a turn and another one's going on with it. */
  readonly longestTakeOverMs: number
  readonly tookMs: number
}

const atOnce = 24

/** More than any soak spends: what is looked at is that it adds up. */
const budget = 10 ** 14

/** Sends turns to two instances on one database, kills one of them again and again, and checks what is stored in the end. */
export async function soak({ url, schema, turns, sessions, kills, leaseMs }: SoakOptions): Promise<Soaked> {
  const began = Date.now()
  const start = () => startInstance({ url, schema, leaseMs, listen: true, budget })
  const instances: Instance[] = await Promise.all([start(), start()])
  let killed = 0
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(Math.random() * items.length)] as Item

  try {
    const ids = await Promise.all(
      Array.from({ length: sessions }, async () => (await pick(instances).ask({ do: 'session' })).id),
    )

    /** Asks until somebody has taken it: the key makes it one turn however often it is sent. */
    async function send(number: number): Promise<void> {
      const kind = pick(['brief', 'look', 'plain'])
      const session = pick(ids)
      for (;;) {
        try {
          await pick(instances).ask({ do: 'run', message: `${kind} ${number}`, session, key: `turn ${number}` })
          return
        } catch (error) {
          if (!/ended|STORE_BUSY|TURN_QUEUE_FULL|RUNTIME_STOPPED/.test(String(error))) throw error
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
    }

    let left = 0
    async function kill(): Promise<void> {
      left += 1
      const slot = Math.floor(Math.random() * instances.length)
      const victim = instances[slot]
      // So that there is something to take over.
      await victim?.ask({ do: 'run', message: 'slower', key: `left ${left}` })
      await victim?.kill()
      instances[slot] = await start()
    }

    let sent = 0
    let killing: Promise<void> = Promise.resolve()
    const sender = async () => {
      while (sent < turns) {
        sent += 1
        const number = sent
        if (kills > 0 && number % Math.floor(turns / (kills + 1)) === 0 && killed < kills) {
          killed += 1
          killing = killing.then(kill)
          await killing
        }
        await send(number)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, sender))
    await killing
    await settled(url, schema)
    return { ...(await check(url, schema, turns + kills)), tookMs: Date.now() - began }
  } finally {
    await Promise.all(instances.map((instance) => instance.kill()))
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return client
}

/** Waits until no turn is queued or running. */
async function settled(url: string, schema: string): Promise<void> {
  const client = await connected(url)
  try {
    for (;;) {
      const { rows } = await client.query(
        `select count(*)::int as open from "${schema}".turns where status in ('queued', 'running')`,
      )
      if (rows[0].open === 0) return
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  } finally {
    await client.end()
  }
}

interface MessageRow {
  readonly session: string
  readonly sequence: string
  readonly turn: string
  readonly role: string
}

async function check(url: string, schema: string, turns: number) {
  const client = await connected(url)
  const problems: string[] = []
  const expect = (holds: boolean, problem: string) => {
    if (!holds) problems.push(problem)
  }
  const rowsOf = async <Row>(sql: string): Promise<Row[]> =>
    (await client.query(sql.replaceAll('@', `"${schema}".`))).rows as Row[]
  const takeOvers: number[] = []
  try {
    const stored = await rowsOf<{ id: string; session: string; status: string; log: string; sequence: string }>(
      'select id, session, status, log, sequence from @turns order by session, sequence',
    )
    expect(stored.length === turns, `${stored.length} turns instead of ${turns}`)
    for (const { id, status, log } of stored) {
      expect(status === 'completed', `turn ${id} is ${status}`)
      const events = log
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as TurnEvent & { at?: number })
      expect(events.filter(({ type }) => endsTurn(type)).length === 1, `turn ${id} does not end once`)
      expect(events.at(-1)?.type === 'turn.completed', `turn ${id} does not end with its end`)
      const positions = events.map(({ sequence }) => sequence)
      expect(
        positions.every((position, index) => index === 0 || position > (positions[index - 1] ?? 0)),
        `events of turn ${id} are out of order`,
      )
      let last = 0
      for (const { type, at = last } of events) {
        if (type === 'turn.resumed') takeOvers.push(at - last)
        last = at
      }
    }

    const messages = Map.groupBy(
      await rowsOf<MessageRow>('select session, sequence, turn, role from @messages order by session, sequence'),
      ({ session }) => session,
    )
    const turnsOf = Map.groupBy(stored, ({ session }) => session)
    for (const [session, rows] of messages) {
      expect(
        rows.every(({ sequence }, index) => Number(sequence) === index + 1),
        `messages of session ${session} have gaps`,
      )
      const runs = rows.filter(({ turn }, index) => turn !== rows[index - 1]?.turn).map(({ turn }) => turn)
      expect(
        JSON.stringify(runs) === JSON.stringify(turnsOf.get(session)?.map(({ id }) => id)),
        `session ${session} was not answered in the order of its turns`,
      )
      for (const [turn, own] of Map.groupBy(rows, (row) => row.turn)) {
        const roles = own.map(({ role }) => role).join(' ')
        expect(/^user (assistant tool )?assistant$/.test(roles), `turn ${turn} has the messages ${roles}`)
      }
    }

    problems.push(...(await moneyProblems(url, schema)))
    const held = await rowsOf<{ id: string }>(
      'select id from @sessions where running_turn is not null or instance is not null or queued_turns <> 0',
    )
    expect(held.length === 0, `${held.length} sessions are still held`)
    const wrong = await rowsOf<{ id: string }>(
      `select id from @sessions s where last_sequence <> (select count(*) from @messages m where m.session = s.id)
       or turn_count <> (select count(*) from @turns t where t.session = s.id)`,
    )
    expect(wrong.length === 0, `${wrong.length} sessions count wrongly`)
    const open = await rowsOf<{ id: string }>(`select id from @tool_calls where status <> 'succeeded'`)
    expect(open.length === 0, `${open.length} tool calls have no result`)
    // A session's epoch goes up with every turn that starts, and with every other lease.
    const [leases] = await rowsOf<{ takenOver: number }>(
      'select sum(epoch - turn_count)::int as "takenOver" from @sessions',
    )
    return { problems, takenOver: leases?.takenOver ?? 0, longestTakeOverMs: Math.max(0, ...takeOvers) }
  } finally {
    await client.end()
  }
}

// node --conditions=keelson-source packages/store-postgres/test/soak.ts [turns] [sessions] [kills] [leaseMs]
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [turns = 2_000, sessions = 200, kills = 20, leaseMs = 15_000] = process.argv.slice(2).map(Number)
  const server = await startPostgres()
  try {
    const result = await soak({ url: server.url, schema: newSchema(), turns, sessions, kills, leaseMs })
    process.stdout.write(`${JSON.stringify({ turns, sessions, kills, leaseMs, ...result }, null, 2)}\n`)
    process.exitCode = result.problems.length > 0 ? 1 : 0
  } finally {
    await server.stop()
  }
}
