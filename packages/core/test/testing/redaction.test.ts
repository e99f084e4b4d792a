import { describe, expect, test } from 'vitest'
import { createRedaction } from '../../src/testing/redaction.ts'

const none = {}
const { text, value } = createRedaction([], none)

const token = 'abcdefghijklmnopqrstuvwxyz0123456789'

describe('a cassette holds no secret', () => {
  test.each([
    ['a key', `my key is sk-proj-${token}, ok?`, 'my key is [redacted], ok?'],
    ['a key of another vendor', `sk-ant-api03-${token}`, '[redacted]'],
    ['a live payment key', `sk_live_${token}`, '[redacted]'],
    ['a key of Google', `AIza${token}`, '[redacted]'],
    ['a token of GitHub', `ghp_${token}`, '[redacted]'],
    ['a token of Slack', `xoxb-${token}`, '[redacted]'],
    ['a key of AWS', 'AKIAIOSFODNN7EXAMPLE', '[redacted]'],
    ['a JWT', `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0xx.${token}`, '[redacted]'],
    ['a header', `Authorization: Bearer ${token}`, 'Authorization: Bearer [redacted]'],
    ['a token without a digit', 'authorization: Bearer abcdefgh', 'authorization: Bearer [redacted]'],
    ['credentials of Basic', 'authorization: basic dXNlcjpwYXNzd29yZA==', 'authorization: basic [redacted]'],
    ['a header of its own', 'x-api-key: 12345678', 'x-api-key: [redacted]'],
    ['a password in an address', 'postgres://app:hunter2@db/app', 'postgres://app:[redacted]@db/app'],
    ['a setting', 'API_KEY=abc123def', 'API_KEY=[redacted]'],
    ['a password in JSON', '{"password":"two words","n":1}', '{"password":"[redacted]","n":1}'],
    [
      'a password in JSON in JSON',
      '{"body":"{\\"password\\":\\"x y\\"}"}',
      '{"body":"{\\"password\\":\\"[redacted]\\"}"}',
    ],
    ['a private key', '-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n', '[redacted]\n'],
  ])('%s', (_, given, expected) => {
    expect(text(given)).toBe(expected)
    expect(text(expected)).toBe(expected)
  })

  test.each([
    'The garden room for two nights costs 240 euros.',
    'Please ask-for-the-password-of-the-house at the desk',
    'A basic understanding of bearer instruments',
    'tokens: 5, keys: 3',
    'https://example.test/a:b@c',
    '{"tokens":12,"author":"Ada"}',
  ])('and leaves alone: %s', (given) => {
    expect(text(given)).toBe(given)
  })

  test('whatever has the name of one', () => {
    expect(value({ user: 'ada', password: 'hunter2', headers: { Authorization: 'x' }, token: '', count: 3 })).toEqual({
      user: 'ada',
      password: '[redacted]',
      headers: { Authorization: '[redacted]' },
      token: '',
      count: 3,
    })
  })

  test('that the environment holds', () => {
    const own = createRedaction([], { VENDOR_API_KEY: 'correct-horse', HOME: '/home/somebody', SHORT_KEY: 'abc' })
    expect(own.text('correct-horse abc /home/somebody')).toBe('[redacted] abc /home/somebody')
  })

  test('that a pattern, a text or a function names', () => {
    expect(createRedaction([/room \d+/, 'Ada'], none).text('Ada has room 12, Bob room 7')).toBe(
      '[redacted] has [redacted], Bob [redacted]',
    )
    expect(createRedaction((given) => given.replace(/\d{4}-\d\d-\d\d/g, 'a day'), none).text('on 2027-03-01')).toBe(
      'on a day',
    )
  })
})
