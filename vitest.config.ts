import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// Workspace packages resolve to their source, so that no test depends on an earlier build.
const conditions = ['keelson-source', 'module', 'node', 'development|production']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ['keelson-source', 'node'] } },
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'packages/*/test/**/*.test.ts',
      'examples/*/test/**/*.test.ts',
      'test/**/*.test.ts',
    ],
    // Many tests wait for timers, programs and databases most of their time.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Told where a test gives its runtime no `onError`; a test about that looks itself.
    onConsoleLog: (text) => !text.startsWith('keelson: '),
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
  },
})
