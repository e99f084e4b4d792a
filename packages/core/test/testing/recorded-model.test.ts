import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ModelPart, type ModelRequest, noUsage, type Provider } from '@keelson/core'
import {
  callTool,
  cut,
  delay,
  fail,
  finish,
  hang,
  type RecordedModel,
  type RecordOptions,
  recordModel,
  replayModel,
  type ScriptStep,
  say,
  scriptedModel,
  settle,
  think,
  virtualClock,
} from '@keelson/core/testing'
import { describe, expect, onTestFinished, test, vi } from 'vitest'

const requestOf = (text: string, more: Partial<ModelRequest> = {}): ModelRequest => ({
  instructions: 'You answer guests.',
  messages: [{ role: 'user', parts: [{ type: 'text', text }] }],
  tools: [{ name: 'price', description: 'Price of a room', parameters: { type: 'object' } }],
  maxOutputTokens: 100,
  ...more,
})

const never = new AbortController().signal

async function ask(model: Provider, request = requestOf('hi'), signal = never): Promise<ModelPart[]> {
  const parts: ModelPart[] = []
  for await (const part of model.stream('small', request, signal)) parts.push(part)
  return parts
}

const outcome = async (model: Provider, request?: ModelRequest, signal?: AbortSignal) => {
  const parts: ModelPart[] = []
  try {
    for await (const part of model.stream('small', request ?? requestOf('hi'), signal ?? never)) parts.push(part)
    return { parts }
  } catch (error) {
    const { failure, message, retryAfterMs, status } = error as Record<string, unknown>
    return { parts, failure, message, retryAfterMs, status }
  }
}

function cassetteIn(): string {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-cassette-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'deep', 'story.cassette.json')
}

/** Records what a script says and hands out the file. */
async function recorded(
  steps: readonly ScriptStep[],
  use: (model: RecordedModel) => Promise<unknown>,
  more: Partial<RecordOptions> = {},
): Promise<string> {
  const cassette = cassetteIn()
  await use(recordModel(scriptedModel(steps), { cassette, mode: 'record', ...more }))
  return cassette
}

const codeOf = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) })

describe('a cassette', () => {
  test('gives back whole streams: text, thoughts, calls, usage and reason', async () => {
    const steps: ScriptStep[] = [
      [think('hm'), say(['It', ' is ']), callTool('price', { room: 'attic' }), finish({ usage: { cacheRead: 7 } })],
      [say('80 euros.'), finish({ reason: 'length' })],
    ]
    const live: ModelPart[][] = []
    const cassette = await recorded(steps, async (model) => {
      live.push(await ask(model, requestOf('a')), await ask(model, requestOf('b')))
    })
    const model = replayModel({ cassette })
    expect(await ask(model, requestOf('a'))).toEqual(live[0])
    expect(await ask(model, requestOf('b'))).toEqual(live[1])
    expect(live[0]).toHaveLength(5)
    model.assertComplete()
  })

  test('gives back failures with class, status and wait, after what had been said', async () => {
    const steps = [
      fail('rate-limit', { status: 429, retryAfterMs: 1_500, message: 'slow down', afterText: 'So far' }),
      [say('So '), cut()],
    ]
    const results: unknown[] = []
    const cassette = await recorded(steps, async (model) => {
      results.push(await outcome(model), await outcome(model))
    })
    const model = replayModel({ cassette })
    expect([await outcome(model), await outcome(model)]).toEqual(results)
    expect(results).toMatchObject([{ failure: 'rate-limit', status: 429, retryAfterMs: 1_500 }, { parts: [{}] }])
    expect(await outcome(replayModel({ cassette }))).toMatchObject({ message: 'slow down' })
  })

  test('keeps what was said before the caller gave up, and then says nothing more', async () => {
    const aborter = new AbortController()
    const cassette = await recorded([[say('a'), hang()]], async (model) => {
      const running = outcome(model, requestOf('hi'), aborter.signal)
      await settle()
      aborter.abort(new Error('enough'))
      expect(await running).toMatchObject({ parts: [{ text: 'a' }], message: 'enough' })
    })
    const again = new AbortController()
    const running = outcome(replayModel({ cassette }), requestOf('hi'), again.signal)
    await settle()
    again.abort(new Error('me too'))
    expect(await running).toMatchObject({ parts: [{ text: 'a' }], message: 'me too' })
  })

  test('serves equal requests in order, and different ones in any order', async () => {
    const cassette = await recorded([say('first'), say('second'), say('other')], async (model) => {
      await ask(model, requestOf('same'))
      await ask(model, requestOf('same'))
      await ask(model, requestOf('other'))
    })
    const model = replayModel({ cassette })
    const said = async (text: string) => (await ask(model, requestOf(text)))[0]
    expect([await said('other'), await said('same'), await said('same')]).toMatchObject([
      { text: 'other' },
      { text: 'first' },
      { text: 'second' },
    ])
  })

  test('replays at once, or at the recorded times of a clock', async () => {
    const recording = virtualClock()
    const script = scriptedModel([[delay(400), say(['a']), delay(250), say(['b'])]], { clock: recording })
    const cassette = cassetteIn()
    const running = ask(recordModel(script, { cassette, mode: 'record', clock: recording }))
    await recording.advance(1_000)
    const parts = await running
    expect(await ask(replayModel({ cassette }))).toEqual(parts)

    const clock = virtualClock()
    const came: string[] = []
    const start = clock.now()
    const replayed = (async () => {
      for await (const part of replayModel({ cassette, clock }).stream('small', requestOf('hi'), never)) {
        came.push(`${part.type} at ${clock.now() - start}`)
      }
    })()
    await clock.advance(1_000)
    await replayed
    expect(came).toEqual(['text at 400', 'text at 650', 'finish at 650'])
  })

  test('does not care how calls were numbered', async () => {
    const history = (call: string): ModelRequest =>
      requestOf('', {
        messages: [
          { role: 'user', parts: [{ type: 'text', text: 'hi' }] },
          { role: 'assistant', parts: [{ type: 'tool-call', call, tool: 'price', arguments: '{}' }] },
          { role: 'tool', parts: [{ type: 'tool-result', call, tool: 'price', output: 1 }] },
        ],
      })
    const cassette = await recorded([say('ok')], (model) => ask(model, history('call_1')))
    expect((await ask(replayModel({ cassette }), history('call_random')))[0]).toEqual({ type: 'text', text: 'ok' })
  })

  test('is a file that people can read, and the same when it is recorded anew', async () => {
    const step = [say(['It is ', 'clear.']), finish({ usage: noUsage })]
    const cassette = await recorded([step], (model) => ask(model))
    const text = readFileSync(cassette, 'utf8')
    expect(text.replace(/"at":\d+/g, '"at":0')).toMatch(
      /^\{\n {2}"format": "keelson-cassette",\n {2}"version": 1,\n {2}"provider": "scripted",\n {2}"recordings": \[\n {4}\{\n {6}"hash": "[0-9a-f]{64}",\n/,
    )
    expect(text).toContain('        "user: hi"\n')
    expect(text).toContain('"type":"text","text":"It is "},\n')
    const parsed = JSON.parse(text)
    parsed.recordings[0].stream[1].at = 12_345
    writeFileSync(cassette, text.replace(/"at":\d+,"type":"finish"/, '"at":12345,"type":"finish"'))
    const before = readFileSync(cassette, 'utf8')
    await ask(recordModel(scriptedModel([step]), { cassette, mode: 'record' }))
    expect(readFileSync(cassette, 'utf8')).toBe(before)
    expect(before).toContain('12345')
  })

  test('holds no secret, whole or in pieces, and still replays', async () => {
    const key = 'sk-proj-abcdefghijklmnop0123456789'
    const steps = [
      [say(['Use sk-proj-abcd', 'efghijklmnop0123456789', ' or guest Ada']), callTool('price', { password: 'x y' })],
      fail('auth', { message: `wrong key ${key}` }),
    ]
    const request = requestOf(`my key is ${key}`, {
      messages: [
        { role: 'user', parts: [{ type: 'text', text: `Authorization: Bearer ${key}` }] },
        { role: 'assistant', parts: [{ type: 'tool-call', call: '1', tool: 'price', arguments: '{}' }] },
        { role: 'tool', parts: [{ type: 'tool-result', call: '1', tool: 'price', output: { password: 'hunter2' } }] },
      ],
    })
    const redact = [/guest \w+/]
    const use = async (model: RecordedModel) => {
      await ask(model, request)
      await outcome(model, request)
    }
    const cassette = await recorded(steps, use, { redact })
    const text = readFileSync(cassette, 'utf8')
    for (const secret of ['sk-proj', 'efghijklmnop', 'hunter2', 'x y', 'Ada']) expect(text).not.toContain(secret)
    const model = replayModel({ cassette, redact })
    expect(await ask(model, request)).toMatchObject([
      { text: 'Use [redacted] or [redacted]' },
      { arguments: '{"password":"[redacted]"}' },
      { type: 'finish' },
    ])
    expect(await outcome(model, request)).toMatchObject({ failure: 'auth', message: 'wrong key [redacted]' })
  })

  test('is replaced whole, with no other file left beside it', async () => {
    const cassette = await recorded([say('a'), say('b')], async (model) => {
      await Promise.all([ask(model, requestOf('a')), ask(model, requestOf('b'))])
    })
    expect(readdirSync(join(cassette, '..'))).toEqual(['story.cassette.json'])
    const model = replayModel({ cassette })
    expect(await Promise.all([ask(model, requestOf('b')), ask(model, requestOf('a'))])).toMatchObject([
      [{ text: 'b' }, {}],
      [{ text: 'a' }, {}],
    ])
  })

  test('leaves out a call that broke for a reason of its own', async () => {
    const broken: Provider = {
      id: 'broken',
      stream() {
        throw new TypeError('oops')
      },
    }
    const cassette = cassetteIn()
    const model = recordModel(broken, { cassette, mode: 'record' })
    await expect(ask(model)).rejects.toThrow('oops')
    expect(existsSync(cassette)).toBe(false)
  })
})

describe('drift', () => {
  const drifted = async (request: ModelRequest) => {
    const cassette = await recorded([say('80 euros.')], (model) => ask(model, requestOf('What is the attic?')))
    const model = replayModel({ cassette })
    const error = await ask(model, request).catch((caught: unknown) => caught)
    return { model, error: error as Error }
  }

  test('is shown as what has changed', async () => {
    const { error, model } = await drifted(requestOf('What is the cellar?'))
    expect(error).toMatchObject({ code: 'CASSETTE_DRIFT' })
    expect(error.message).toBe(
      [
        'cassette story.cassette.json: a request is not what was recorded. Against recording 1 of 1:',
        '    (3 lines the same)',
        '  - user: What is the attic?',
        '  + user: What is the cellar?',
        'Record it anew with KEELSON_RECORD=1 if the change is meant.',
      ].join('\n'),
    )
    expect(() => model.assertComplete()).toThrow(error)
  })

  test.each<[string, Partial<ModelRequest>, RegExp]>([
    [
      'instructions',
      { instructions: 'Be brief.' },
      /- instructions: You answer guests\.\n {2}\+ instructions: Be brief/,
    ],
    ['a tool', { tools: [] }, /- tool price: Price of a room \[\w+\]/],
    [
      'the arguments of a tool',
      {
        tools: [{ name: 'price', description: 'Price of a room', parameters: { type: 'object', required: ['room'] } }],
      },
      /- tool price: .*\[\w{8}\]\n {2}\+ tool price: .*\[\w{8}\]/,
    ],
    ['the limit', { maxOutputTokens: 5 }, /\+ model small, at most 5 tokens/],
    ['the temperature', { temperature: 0.5 }, /\+ model small, at most 100 tokens, temperature 0.5/],
    ['the output', { output: { name: 'room', schema: { type: 'object' } } }, /\+ output room \[\w{8}\]/],
  ])('is seen in %s', async (_, more, shown) => {
    const { error } = await drifted(requestOf('What is the attic?', more))
    expect(error.message).toMatch(shown)
  })

  test('is seen past the end of what a line shows', async () => {
    const long = 'x'.repeat(10_000)
    const cassette = await recorded([say('ok')], (model) => ask(model, requestOf(`${long}a`)))
    const error: Error = await ask(replayModel({ cassette }), requestOf(`${long}b`)).catch((caught) => caught)
    expect(error.message).toMatch(/- user: x+… \[\w{8}\]\n {2}\+ user: x+… \[\w{8}\]/)
    expect(error.message.length).toBeLessThan(1_000)
  })

  test('is a request too many', async () => {
    const cassette = await recorded([say('ok')], (model) => ask(model))
    const model = replayModel({ cassette })
    await ask(model)
    await expect(ask(model)).rejects.toThrow(/its one recording is used:\n.*\n.*\n.*\n {2}\+ user: hi/)
  })

  test('is measured against the recording that is nearest', async () => {
    const cassette = await recorded([say('a'), say('b')], async (model) => {
      await ask(model, requestOf('something', { instructions: 'Quite another agent.' }))
      await ask(model, requestOf('hello'))
    })
    await expect(ask(replayModel({ cassette }), requestOf('hallo'))).rejects.toThrow('Against recording 2 of 2')
  })

  test('is also a recording that was not used', async () => {
    const cassette = await recorded([say('a'), say('b')], async (model) => {
      await ask(model, requestOf('first'))
      await ask(model, requestOf('second'))
    })
    const model = replayModel({ cassette })
    await ask(model, requestOf('first'))
    expect(() => model.assertComplete()).toThrow(
      codeOf('CASSETTE_UNUSED', /1 of 2 recordings were not used:\n {2}2\. user: second$/),
    )
  })
})

describe('the mode', () => {
  const broken: Provider = { id: 'real', stream: () => expect.unreachable() }
  const working = () => scriptedModel([say('new')], { id: 'real' })

  test('is to replay unless told otherwise: the provider is not called', async () => {
    vi.stubEnv('KEELSON_RECORD', '')
    const cassette = await recorded([say('old')], (model) => ask(model))
    const model = recordModel(broken, { cassette })
    expect(await ask(model)).toMatchObject([{ text: 'old' }, {}])
    expect({ ...model }).toMatchObject({ id: 'real', mode: 'replay' })
  })

  test('is to record when KEELSON_RECORD=1 says so', async () => {
    const cassette = await recorded([say('old')], (model) => ask(model))
    vi.stubEnv('KEELSON_RECORD', '1')
    const model = recordModel(working(), { cassette })
    expect([model.mode, (await ask(model))[0]]).toEqual(['record', { type: 'text', text: 'new' }])
    expect((await ask(replayModel({ cassette })))[0]).toEqual({ type: 'text', text: 'new' })
  })

  test('auto records once', async () => {
    const cassette = cassetteIn()
    expect((await ask(recordModel(working(), { cassette, mode: 'auto' })))[0]).toEqual({ type: 'text', text: 'new' })
    expect((await ask(recordModel(broken, { cassette, mode: 'auto' })))[0]).toEqual({ type: 'text', text: 'new' })
  })

  test('must be one of the three', () => {
    const options = { cassette: cassetteIn(), mode: 'once' as never }
    expect(() => recordModel(broken, options)).toThrow(expect.objectContaining({ code: 'CASSETTE_MODE' }))
  })
})

describe('a file that will not do is refused, by its name without its path', () => {
  test.each([
    ['text', 'hello', 'CASSETTE_DAMAGED', /story\.cassette\.json is not whole JSON/],
    ['half a file', '{"format":"keelson-cassette","vers', 'CASSETTE_DAMAGED', /not whole JSON/],
    ['other JSON', '{"a":1}', 'CASSETTE_DAMAGED', /is not a cassette/],
    ['null', 'null', 'CASSETTE_DAMAGED', /is not a cassette/],
    ['a newer one', '{"format":"keelson-cassette","version":2,"reels":[]}', 'CASSETTE_TOO_NEW', /format 2.*up to 1/],
    ['one without recordings', '{"format":"keelson-cassette","version":1}', 'CASSETTE_DAMAGED', /no recordings/],
    [
      'one with half a recording',
      '{"format":"keelson-cassette","version":1,"provider":"p","recordings":[{"hash":"a","digest":[],"stream":[{"type":"text"}],"end":"finished"}]}',
      'CASSETTE_DAMAGED',
      /makes no sense: number 1/,
    ],
  ])('%s', async (_, text, code, message) => {
    const cassette = await recorded([say('a')], (model) => ask(model))
    writeFileSync(cassette, text)
    const refused = expect.objectContaining({ code, message: expect.stringMatching(message) })
    expect(() => replayModel({ cassette })).toThrow(refused)
    expect(() => recordModel(scriptedModel([]), { cassette, mode: 'auto' })).toThrow(refused)
    expect(() => replayModel({ cassette })).not.toThrow(/tmp/)
    // To record it anew is the way out.
    await ask(recordModel(scriptedModel([say('anew')]), { cassette, mode: 'record' }))
    expect((await ask(replayModel({ cassette })))[0]).toEqual({ type: 'text', text: 'anew' })
  })

  test('one that is not there', () => {
    const cassette = cassetteIn()
    expect(() => replayModel({ cassette })).toThrow(codeOf('CASSETTE_MISSING', /no cassette story\.cassette\.json;/))
  })

  test('one that cannot be written', async () => {
    const cassette = await recorded([say('a')], (model) => ask(model))
    const model = recordModel(scriptedModel([say('a')]), {
      cassette: join(cassette, 'below-a-file.json'),
      mode: 'record',
    })
    await expect(ask(model)).rejects.toMatchObject({ code: 'CASSETTE_NOT_WRITTEN' })
  })
})
