/** AWS credentials that end by themselves: what a caller signs with in place of a key. */

/** Shown once; nothing of it is stored. */
export interface TemporaryCredentials {
  /** `ASIA...` */
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Sent with every request, as `x-amz-security-token`. */
  readonly sessionToken: string
  /** Wall clock. */
  readonly expiresMs: number
}

/** Bounds of AWS's GetSessionToken. */
export const MIN_SESSION_S = 900
export const MAX_SESSION_S = 129_600

export interface CredentialIssuer {
  /** Of the key `keyId`, for a whole number of seconds between the bounds, and no longer than the key itself. Throws conflict, resource_not_found. */
  issue(keyId: string, durationS: number): Promise<TemporaryCredentials>
}
