/** Replies in JSON, as most routes send them. */
import type { WireReply } from '#server/operation'

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' }

export function jsonReply(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): WireReply {
  return { status, headers: { ...JSON_HEADERS, ...headers }, body: JSON.stringify(value) }
}
