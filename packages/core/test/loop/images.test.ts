import { defineAgent, type ImagePart, ModelFailure, type ModelInfo, type Part } from '@keelson/core'
import { createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'

const png: ImagePart = { type: 'image', mediaType: 'image/png', data: 'iVBORw0KGgo=' }
const text = (text: string): Part => ({ type: 'text', text })

const agentOf = (...models: string[]) => defineAgent({ id: 'viewer', instructions: 'You look.', models })
const setup = (models: readonly ModelInfo[], names = models.map(({ name }) => name), steps = 4) => {
  const model = scriptedModel(Array(steps).fill(say('seen')), { id: 'eye', models })
  return { model, agents: [agentOf(...names)] }
}

describe('a message with images', () => {
  test('is stored as it is and given to the model', async () => {
    const { model, agents } = setup([{ name: 'eye/sees', vision: true }])
    await using runtime = await createTestRuntime({ agents, model })
    const message = [text('What is this?'), png, { type: 'image', url: 'https://example.com/a.png' } as const]
    const { session } = await runtime.client.run('viewer', { message }).result
    expect(model.calls[0]?.request.messages).toEqual([{ role: 'user', parts: message }])
    const [stored] = await runtime.client.sessions.messages({ session, limit: 1 })
    expect(stored?.parts).toEqual(message)
  })

  test('may be an image alone', async () => {
    const { model, agents } = setup([{ name: 'eye/sees' }])
    await using runtime = await createTestRuntime({ agents, model })
    expect(await runtime.client.run('viewer', { message: [png] }).result).toMatchObject({ status: 'completed' })
  })

  test('passes over a model that cannot see', async () => {
    const { model, agents } = setup([{ name: 'eye/blind', vision: false }, { name: 'eye/sees' }])
    await using runtime = await createTestRuntime({ agents, model })
    const result = await runtime.client.run('viewer', { message: [text('Look'), png] }).result
    expect(result).toMatchObject({ status: 'completed', model: 'eye/sees' })
    expect(model.calls).toHaveLength(1)
  })

  test('fails, and says why to the log, when no model can see', async () => {
    const { model, agents } = setup([{ name: 'eye/blind', vision: false }])
    const reported: unknown[] = []
    await using runtime = await createTestRuntime({ agents, model, onError: (error) => reported.push(error) })
    const turn = runtime.client.run('viewer', { message: [png] })
    await expect(turn.result).rejects.toMatchObject({ message: 'the model provider failed: bad-request' })
    expect(reported).toEqual([expect.any(ModelFailure)])
    expect(reported[0]).toMatchObject({ message: 'the model eye/blind cannot see images' })
    expect(model.calls).toEqual([])
  })

  test('is remarked upon when a later message is answered by a model that cannot see', async () => {
    const { model, agents } = setup([{ name: 'eye/sees' }, { name: 'eye/blind', vision: false }], ['eye/sees'])
    await using runtime = await createTestRuntime({ agents, model })
    const { session } = await runtime.client.run('viewer', { message: [text('Look'), png] }).result
    await runtime.client.sessions.update({ id: session, model: 'eye/blind' })
    await runtime.client.run('viewer', { session, message: 'And now?' }).result
    expect(model.calls[1]?.model).toBe('eye/blind')
    expect(model.calls[1]?.request.messages[0]).toEqual({ role: 'user', parts: [text('Look'), text('[an image]')] })
  })

  test('counts by the image, not by its bytes', async () => {
    const { model, agents } = setup([{ name: 'eye/sees', contextTokens: 8_000, maxOutputTokens: 1_000 }])
    await using runtime = await createTestRuntime({ agents, model })
    const large = { ...png, data: 'AAAA'.repeat(100_000) }
    const { turn } = await runtime.client.run('viewer', { message: [text('Look'), large] }).result
    const { context } = await runtime.client.sessions.turn({ id: turn })
    expect(context?.at(-1)).toMatchObject({ source: 'history', tokens: 1_601 })
  })

  test('and any other is answered at a usual length when the agent sets none', async () => {
    const { model, agents } = setup([{ name: 'eye/sees', contextTokens: 400_000, maxOutputTokens: 128_000 }])
    await using runtime = await createTestRuntime({ agents, model })
    await runtime.client.run('viewer', { message: 'Hi' }).result
    expect(model.calls[0]?.request.maxOutputTokens).toBe(16_384)
  })

  const refused: readonly (readonly [string, unknown, string])[] = [
    ['another media type', { ...png, mediaType: 'image/svg+xml' }, 'MESSAGE_INVALID'],
    ['no media type', { type: 'image', data: png.data }, 'MESSAGE_INVALID'],
    ['what is not base64', { ...png, data: 'not base64!!' }, 'MESSAGE_INVALID'],
    ['no bytes', { ...png, data: '' }, 'MESSAGE_INVALID'],
    ['bytes of the wrong type', { ...png, data: 7 }, 'MESSAGE_INVALID'],
    ['an address without TLS', { type: 'image', url: 'http://example.com/a.png' }, 'MESSAGE_INVALID'],
    ['a file', { type: 'image', url: 'file:///etc/passwd' }, 'MESSAGE_INVALID'],
    ['an address with a password', { type: 'image', url: 'https://a:b@example.com/' }, 'MESSAGE_INVALID'],
    ['an address without end', { type: 'image', url: `https://example.com/${'a'.repeat(3_000)}` }, 'MESSAGE_INVALID'],
    ['too many bytes', { ...png, data: 'AAAA'.repeat(100) }, 'MESSAGE_TOO_LONG'],
  ]
  test.each(refused)('is refused with %s', async (_, part, code) => {
    const { model, agents } = setup([{ name: 'eye/sees' }])
    await using runtime = await createTestRuntime({ agents, model, limits: { imageBytes: 256 } })
    const message = [part] as unknown as readonly Part[]
    await expect(runtime.client.run('viewer', { message }).accepted).rejects.toMatchObject({ code })
  })

  test('is refused with more images than any model takes', async () => {
    const { model, agents } = setup([{ name: 'eye/sees' }])
    await using runtime = await createTestRuntime({ agents, model })
    const message = Array<Part>(33).fill(png)
    await expect(runtime.client.run('viewer', { message }).accepted).rejects.toMatchObject({ code: 'MESSAGE_TOO_LONG' })
  })
})
