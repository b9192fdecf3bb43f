/** What the clients put into every request that makes something, and send again when they try again. */
import { type Fields, invalid } from '#server/fields'

const TOKEN = /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/

/** null = the request has none. */
export function readRequestToken(fields: Fields): string | null {
  const token = fields.text('clientRequestToken', { minLength: 1, maxLength: 256 })
  if (token === null || TOKEN.test(token)) return token
  throw invalid('clientRequestToken', 'clientRequestToken must have letters, digits and inner dashes only')
}
