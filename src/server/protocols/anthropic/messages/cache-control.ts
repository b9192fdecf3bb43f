/** `cache_control`, wherever it may stand. */
import type { Fields } from '#server/fields'

/** True: the prompt up to here is worth keeping. The TTL is the prefix cache's own: both values are taken. */
export function readCacheControl(fields: Fields): boolean {
  const control = fields.nestedFields('cache_control')
  if (control === null) return false
  control.check({ type: 'read', ttl: 'read' })
  if (control.word('type', ['ephemeral']) === null) throw control.missing('type')
  control.word('ttl', ['5m', '1h'])
  return true
}
