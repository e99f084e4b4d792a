import { defineErrors } from '../kernel/errors.ts'

export const mountErrors = defineErrors({
  MOUNT_INVALID: { kind: 'bad_request', message: 'the mount is not valid' },
  MOUNT_CLOSED: { kind: 'unauthenticated', message: 'nobody can prove who they are to this mount' },
  MOUNT_CONFLICT: { kind: 'conflict', message: 'several surfaces answer the same requests' },
})
