import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { inspect } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newFile, newKey, openRuntime } from './scene.ts'

const code = (error: string) => expect.objectContaining({ code: error })

describe('operators', () => {
  it('put, list and remove secrets, and have no way to read them back', async () => {
    const { client } = openRuntime(newFile(), { key: newKey() })
    const entry = await client.vault.put({ name: 'github', value: 'hunter2' })
    expect(entry).toEqual({
      name: 'github',
      keyId: expect.stringMatching(/^[0-9a-f]{16}$/),
      createdAt: expect.any(Number),
      updatedAt: expect.any(Number),
    })
    expect(await client.vault.list({})).toEqual([entry])
    expect(Object.getOwnPropertyNames(Object.getPrototypeOf(client.vault)).toSorted()).toEqual([
      'constructor',
      'list',
      'put',
      'remove',
      'rotate',
    ])
    expect(await client.vault.remove({ name: 'github' })).toBe(true)
    expect(await client.vault.list({})).toEqual([])
  })

  it('are the only ones who may, each in their own tenant', async () => {
    const { client, runtime } = openRuntime(newFile())
    const user = runtime.as({ tenant: 'default', subject: 'ada', roles: [], via: 'code', ambient: false })
    await expect(user.vault.list({})).rejects.toThrow(code('FORBIDDEN'))
    await expect(user.vault.put({ name: 'a', value: 'b' })).rejects.toThrow(code('FORBIDDEN'))
    await expect(runtime.as(null).vault.rotate()).rejects.toThrow(code('UNAUTHENTICATED'))
    await client.vault.put({ name: 'a', value: 'b' })
    const other = runtime.as({ tenant: 'other', subject: 'eve', roles: ['operator'], via: 'code', ambient: false })
    expect(await other.vault.list({})).toEqual([])
    expect(await other.vault.remove({ name: 'a' })).toBe(false)
  })
})

describe('a secret', () => {
  it('is in no row, statement, error or report', async () => {
    const file = newFile()
    const secret = 'sk-very-secret-0123456789'
    const { client, reported, runtime, statements } = openRuntime(file)
    const errors: unknown[] = []
    const keep = (error: unknown) => errors.push(error)
    await client.vault.put({ name: 'a', value: secret })
    await client.vault.put({ name: 'bad\0name', value: secret }).catch(keep)
    await client.vault.put({ name: 'big', value: secret.repeat(4_000) }).catch(keep)
    await client.vault.put({ name: 'half', value: `${secret}\ud800` }).catch(keep)
    expect(errors).toHaveLength(3)
    await runtime.stop()
    const database = new DatabaseSync(file)
    database.exec('pragma wal_checkpoint(truncate)')
    database.close()
    expect(readFileSync(file).includes(secret)).toBe(false)
    expect(readFileSync(file).includes(Buffer.from(secret).toString('base64url').slice(0, 20))).toBe(false)
    expect(inspect([errors, reported, statements], { depth: 9 })).not.toContain(secret)
  })
})

describe('the key file', () => {
  it('is made beside the database with mode 600 when it is first needed, and opens the entries later', async () => {
    const file = newFile()
    const first = openRuntime(file)
    await first.client.vault.list({})
    expect(existsSync(`${file}.key`)).toBe(false)
    await first.client.vault.put({ name: 'a', value: 'one' })
    expect(statSync(`${file}.key`).mode & 0o777).toBe(0o600)
    await first.runtime.stop()
    const made = readFileSync(`${file}.key`, 'utf8')
    const second = openRuntime(file)
    expect(await second.client.vault.rotate()).toEqual({ rotated: 0, unreadable: 0 })
    await second.client.vault.put({ name: 'b', value: 'two' })
    expect(new Set((await second.client.vault.list({})).map(({ keyId }) => keyId)).size).toBe(1)
    expect(readFileSync(`${file}.key`, 'utf8')).toBe(made)
  })

  it('that was lost is not made anew: what was encrypted with it waits until it is back', async () => {
    const file = newFile()
    const { client, runtime } = openRuntime(file)
    await client.vault.put({ name: 'a', value: 'one' })
    renameSync(`${file}.key`, `${file}.away`)
    const stillOpen = await client.vault.put({ name: 'b', value: 'two' })
    expect(stillOpen.name).toBe('b')
    await runtime.stop()
    const { client: again } = openRuntime(file)
    await expect(again.vault.put({ name: 'a', value: 'new' })).rejects.toThrow(code('VAULT_KEY_MISSING'))
    expect(existsSync(`${file}.key`)).toBe(false)
    renameSync(`${file}.away`, `${file}.key`)
    expect(await again.vault.put({ name: 'c', value: 'three' })).toMatchObject({ keyId: stillOpen.keyId })
  })

  it('of another database, or with nothing in it, is refused and nothing changes', async () => {
    const file = newFile()
    const { runtime, client } = openRuntime(file)
    await client.vault.put({ name: 'a', value: 'one' })
    await runtime.stop()
    for (const [content, refusal] of [
      [`${newKey()}\n`, 'VAULT_KEY_WRONG'],
      ['', 'VAULT_KEY_INVALID'],
      ['# only a remark\n', 'VAULT_KEY_INVALID'],
      ['not a key\n', 'VAULT_KEY_INVALID'],
    ] as const) {
      const kept = readFileSync(`${file}.key`)
      writeFileSync(`${file}.key`, content)
      const again = openRuntime(file)
      await expect(again.client.vault.put({ name: 'a', value: 'x' })).rejects.toThrow(code(refusal))
      await again.runtime.stop()
      writeFileSync(`${file}.key`, kept)
    }
  })

  it('with several lines rotates to the first', async () => {
    const file = newFile()
    const { runtime, client } = openRuntime(file)
    await client.vault.put({ name: 'a', value: 'one' })
    await runtime.stop()
    writeFileSync(`${file}.key`, `# new\n${newKey()}\n\n${readFileSync(`${file}.key`, 'utf8')}`)
    const again = openRuntime(file)
    expect(await again.client.vault.rotate()).toEqual({ rotated: 1, unreadable: 0 })
  })

  it.skipIf(process.platform === 'win32')(
    'that others can read, or that is theirs, is refused with what to do',
    async () => {
      const file = newFile()
      const { runtime, client } = openRuntime(file)
      await client.vault.put({ name: 'a', value: 'one' })
      await runtime.stop()
      const put = async () => {
        const again = openRuntime(file)
        const outcome = await again.client.vault.put({ name: 'b', value: 'two' }).catch((error) => error)
        await again.runtime.stop()
        return outcome
      }
      for (const mode of [0o640, 0o604, 0o620, 0o644, 0o666]) {
        chmodSync(`${file}.key`, mode)
        const refusal = await put()
        expect(refusal).toMatchObject({ code: 'VAULT_KEY_FILE_UNSAFE', message: expect.stringContaining('chmod 600') })
        expect(refusal.message).not.toContain(file)
      }
      chmodSync(`${file}.key`, 0o400)
      expect(await put()).toMatchObject({ name: 'b' })
      if (process.getuid?.() !== 0) return
      chownSync(`${file}.key`, 65_534, 65_534)
      expect(await put()).toMatchObject({ code: 'VAULT_KEY_FILE_UNSAFE', message: expect.stringContaining('chown') })
    },
  )

  it('may be anywhere, and what cannot be made says so without a path', async () => {
    const file = newFile()
    const keyFile = join(newFile(), '..', 'elsewhere.key')
    await openRuntime(file, { keyFile }).client.vault.put({ name: 'a', value: 'one' })
    expect(statSync(keyFile).mode & 0o777).toBe(0o600)
    expect(existsSync(`${file}.key`)).toBe(false)
    const nowhere = openRuntime(newFile(), { keyFile: '/no/such/folder/key' })
    const refusal = await nowhere.client.vault.put({ name: 'a', value: 'b' }).catch((error) => error)
    expect(refusal).toMatchObject({ code: 'VAULT_KEY_FILE_UNREADABLE' })
    expect(refusal.message).not.toContain('/no/such')
  })

  it('is not needed by a database in memory, whose key goes with it', async () => {
    const { client } = openRuntime(':memory:')
    await client.vault.put({ name: 'a', value: 'one' })
    expect(await client.vault.rotate()).toEqual({ rotated: 0, unreadable: 0 })
    expect(existsSync(':memory:.key')).toBe(false)
  })
})

describe('a rotation that is killed', () => {
  it.each([1, 2, 4])('after %i batches has lost nothing, and the next one ends the work', async (batches) => {
    const file = newFile()
    const [old, fresh] = [newKey(), newKey()]
    const before = openRuntime(file, { key: old })
    for (let index = 0; index < 230; index += 1) {
      await before.client.vault.put({ name: `n${index}`, value: `value ${index}` })
    }
    await before.runtime.stop()

    const script = join(import.meta.dirname, 'child-rotation.ts')
    const child = spawn(process.execPath, ['--conditions=keelson-source', script, file, fresh, old], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === `batch ${batches}`) break
      child.stdin.write('go on\n')
    }
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')

    const after = openRuntime(file, { keys: [fresh, old] })
    expect(await after.client.vault.rotate()).toEqual({ rotated: 230 - batches * 50, unreadable: 0 })
    await after.runtime.stop()
    const last = openRuntime(file, { key: fresh })
    expect(await last.client.vault.list({})).toHaveLength(230)
    // With the new key alone each of them opens: none is left over for it to count as unreadable.
    await last.runtime.stop()
    const back = openRuntime(file, { keys: [old, fresh] })
    expect(await back.client.vault.rotate()).toEqual({ rotated: 230, unreadable: 0 })
  })
})
