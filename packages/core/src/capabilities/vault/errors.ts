import { defineErrors } from '../../kernel/errors.ts'

export const vaultErrors = defineErrors({
  VAULT_UNCONFIGURED: {
    kind: 'unavailable',
    message: 'the vault has no key; give createRuntime({ vault: { key } }) 32 bytes, as from `openssl rand -base64 32`',
  },
  VAULT_KEY_MISSING: {
    kind: 'unavailable',
    message:
      'the key of the vault cannot be had, but there are entries made with it; bring it back. Nothing was changed',
  },
  VAULT_KEY_WRONG: {
    kind: 'unavailable',
    message: 'the entry was encrypted with another key than those given; add that key. Nothing was changed',
  },
  VAULT_KEY_INVALID: {
    kind: 'bad_request',
    message: 'a key of the vault has 32 bytes: 64 hexadecimal digits, base64, a Buffer, or a function that gives one',
  },
  VAULT_KEY_FILE_UNSAFE: {
    kind: 'unavailable',
    message: 'the key file of the vault can be reached by others; make it yours alone (chown, chmod 600)',
  },
  VAULT_KEY_FILE_UNREADABLE: {
    kind: 'unavailable',
    message: 'the key file of the vault can be neither read nor made; check its folder, owner and mode',
  },
  VAULT_ENTRY_DAMAGED: {
    kind: 'unavailable',
    message: 'the entry is damaged, or was moved here from another name; store it anew. Nothing was changed',
  },
  VAULT_NAME_INVALID: {
    kind: 'bad_request',
    message: 'a name in the vault has 1 to 256 characters, none of them a control character',
  },
  VAULT_VALUE_INVALID: { kind: 'bad_request', message: 'a value in the vault is a text of at most 65,536 bytes' },
})
