/** What the door tells whoever must say who asks, before any route is looked at. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Principal } from '#contract/principal'

export interface DoorRequest {
  readonly method: string
  /** Path and query, as sent. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, as sent. */
  readonly rawHeaders: readonly string[]
  readonly remoteAddress: string
  /** For signatures over the body; throws like readBody. */
  readBody(): Promise<Uint8Array>
}

/** Throws unauthenticated, invalid_credentials, one of the signature codes, rate_limited, or what reading the body throws. */
export type Authenticate = (request: DoorRequest) => Promise<Principal>

/** A key came to a route that its scopes do not open. */
export interface ScopeRefusal {
  readonly keyId: string
  readonly method: string
  /** As it is registered, without the caller's words. */
  readonly route: string
  readonly scope: string
}
