/** Where secrets are kept, encrypted, by tenant and name. They are in no generation, event or answer. */
export interface SecretVault {
  put(tenant: string, name: string, value: string): Promise<unknown>
  /** Null when there is none. */
  get(tenant: string, name: string): Promise<string | null>
  /** False when there was none. */
  remove(tenant: string, name: string): Promise<boolean>
  /** What there is, without the values. */
  list(tenant: string): Promise<readonly (string | { readonly name: string })[]>
}
