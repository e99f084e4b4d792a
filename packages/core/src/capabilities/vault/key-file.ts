import { randomBytes } from 'node:crypto'
import { type FileHandle, link, open, rm } from 'node:fs/promises'
import { vaultErrors } from './errors.ts'
import { keyBytes, keyOf, type VaultKey } from './keys.ts'

const header = '# Key of the vault. Keep a copy in a safe place: without it no secret can be read again.\n'
const longestFile = 65_536

/**
 * The keys of a file, or null when there is none. Rejects with `VAULT_KEY_FILE_UNSAFE` when anybody but this user could
 * read or change it.
 */
export async function readKeyFile(path: string): Promise<VaultKey[] | null> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw vaultErrors.VAULT_KEY_FILE_UNREADABLE({ cause })
  }
  try {
    const status = await file.stat()
    if (!status.isFile() || status.size > longestFile) {
      throw vaultErrors.VAULT_KEY_INVALID({ message: 'the key file of the vault is no file of keys, one per line' })
    }
    if (process.platform !== 'win32') {
      if ((status.mode & 0o077) !== 0) {
        const mode = (status.mode & 0o777).toString(8)
        const message = `the key file of the vault has mode ${mode}, so others can reach it; run chmod 600 on it, and use a new key if others may have read it`
        throw vaultErrors.VAULT_KEY_FILE_UNSAFE({ message })
      }
      if (status.uid !== process.geteuid?.()) {
        const message = 'the key file of the vault belongs to another user; chown it to the user that runs this process'
        throw vaultErrors.VAULT_KEY_FILE_UNSAFE({ message })
      }
    }
    const lines = (await file.readFile('utf8')).split('\n').map((line) => line.trim())
    const keys = lines.filter((line) => line !== '' && !line.startsWith('#')).map(keyOf)
    if (keys.length === 0) throw vaultErrors.VAULT_KEY_INVALID({ message: 'the key file of the vault holds no key' })
    return keys
  } finally {
    await file.close()
  }
}

/** Makes a file with a new key, unless another process does so first: then that one's key counts. */
export async function makeKeyFile(path: string): Promise<VaultKey[]> {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(`${header}${randomBytes(keyBytes).toString('base64')}\n`)
      // Entries must never outlive the only copy of their key.
      await file.sync()
    } finally {
      await file.close()
    }
    // Unlike a rename, a link never takes the place of a file.
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } catch (cause) {
    throw vaultErrors.VAULT_KEY_FILE_UNREADABLE({ cause })
  } finally {
    await rm(draft, { force: true }).catch(() => {})
  }
  const keys = await readKeyFile(path)
  if (keys === null) throw vaultErrors.VAULT_KEY_FILE_UNREADABLE()
  return keys
}
