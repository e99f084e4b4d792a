import { createRuntime } from '@keelson/core'
import { scriptedModel, settle, virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test, vi } from 'vitest'
import { agentOf } from './scene.ts'

describe('a stop', () => {
  test('comes to its end although the database never answers, and closes the store', async () => {
    const clock = virtualClock()
    const database = sqliteStore(':memory:')
    const close = vi.fn(database.close)
    const store = { ...database, open: () => new Promise<never>(() => {}), close }
    const options = { agents: [agentOf([])], providers: [scriptedModel([], { clock })], store, clock, stopMs: 500 }
    const runtime = createRuntime(options)
    runtime.start().catch(() => {})
    const stopped = vi.fn()
    const stopping = runtime.stop().then(stopped)
    await settle()
    expect(stopped).not.toHaveBeenCalled()
    await clock.advance(1_500)
    await stopping
    expect(close).toHaveBeenCalledOnce()
    await expect(runtime.start()).rejects.toMatchObject({ code: 'RUNTIME_STOPPED' })
  })

  test('of what never began leaves the store alone', async () => {
    const database = sqliteStore(':memory:')
    const close = vi.fn(database.close)
    const runtime = createRuntime({ agents: [], providers: [], store: { ...database, close } })
    await runtime.stop()
    expect(close).not.toHaveBeenCalled()
  })
})
