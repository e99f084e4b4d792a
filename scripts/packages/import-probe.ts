// Loads one entry in a process of its own and prints, as JSON, what that pulled in and what it did.
// Arguments: `import` or `require`, the specifier, the folder to resolve it from.
import childProcess from 'node:child_process'
import dgram from 'node:dgram'
import fs from 'node:fs'
import { createRequire, registerHooks, syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import workerThreads from 'node:worker_threads'

/** What loading an entry pulled in and did. */
export interface ImportReport {
  /** URLs of all modules that were loaded, built-in ones as `node:name`. */
  readonly modules: readonly string[]
  /** Calls that open, start or schedule something. */
  readonly effects: readonly string[]
  /** What keeps the process alive. */
  readonly resources: readonly string[]
  /** Names of globals and process listeners that were not there before. */
  readonly traces: readonly string[]
}

const [mode, specifier = '', from = ''] = process.argv.slice(2)

const modules = new Set<string>()
const effects: string[] = []

/** Records a call, unless node itself makes it, to read what is being imported. */
function watch(owner: object, names: readonly string[], label: string): void {
  const members = owner as Record<string, unknown>
  for (const name of names) {
    const original = members[name]
    if (typeof original !== 'function') continue
    members[name] = Object.assign(function (this: unknown, ...args: unknown[]): unknown {
      const caller = new Error().stack?.split('\n')[2] ?? ''
      if (!caller.includes('node:')) effects.push(`${label}${name} ${caller.trim()}`)
      return new.target ? Reflect.construct(original, args) : Reflect.apply(original, this, args)
    }, original)
  }
}

const reading = ['open', 'openSync', 'readFile', 'readFileSync', 'readdir', 'readdirSync', 'createReadStream']
const writing = [
  'writeFile',
  'writeFileSync',
  'appendFile',
  'appendFileSync',
  'mkdir',
  'mkdirSync',
  'mkdtemp',
  'mkdtempSync',
]
watch(fs, [...reading, ...writing, 'createWriteStream', 'watch', 'watchFile'], 'fs.')
watch(fs.promises, [...reading, ...writing, 'watch'], 'fs.promises.')
watch(net.Socket.prototype, ['connect'], 'socket.')
watch(net.Server.prototype, ['listen'], 'server.')
watch(dgram, ['createSocket'], 'dgram.')
watch(childProcess, ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork'], 'child_process.')
watch(workerThreads, ['Worker'], 'worker_threads.')
watch(globalThis, ['setTimeout', 'setInterval', 'setImmediate', 'fetch'], '')
syncBuiltinESMExports()

// zod keeps its registry in globals, so that several copies of it share one.
const isKnown = (name: string): boolean => name.startsWith('__zod_')

const traces = () => [
  ...Object.getOwnPropertyNames(globalThis).flatMap((name) => (isKnown(name) ? [] : `global ${name}`)),
  ...process.eventNames().map((name) => `listener ${String(name)} ${process.listenerCount(name)}`),
]

registerHooks({
  resolve(request, context, next) {
    const resolved = next(request, context)
    modules.add(resolved.url)
    return resolved
  },
})

// Node makes these when something first looks at them.
void [process.stdout, process.stderr]

const require = createRequire(join(from, 'package.json'))
const resourcesBefore = process.getActiveResourcesInfo()
const tracesBefore = new Set(traces())

if (mode === 'require') require(specifier)
else await import(pathToFileURL(require.resolve(specifier)).href)

// What an import has put off until the next turns of the event loop shows here.
await Promise.resolve()

const resources = process.getActiveResourcesInfo()
for (const known of resourcesBefore) {
  const index = resources.indexOf(known)
  if (index !== -1) resources.splice(index, 1)
}
const report: ImportReport = {
  modules: [...modules],
  effects,
  resources,
  traces: traces().filter((trace) => !tracesBefore.has(trace)),
}
fs.writeSync(1, JSON.stringify(report))
