/** A report over the ledger of a server, as `inferd usage` and `inferd plan` ask for it. */
import { InferdError } from '#contract/errors'

export interface ReportAddress {
  readonly url: string
  /** Sent as a bearer key; null = none. */
  readonly key: string | null
  /** `/inferd/v1/usage` */
  readonly path: string
  readonly query: URLSearchParams
}

/** Throws upstream_failed with the server's own words. */
export async function askReport<Report extends { readonly data: readonly unknown[] }>(
  { url, key, path, query }: ReportAddress,
  signal: AbortSignal,
): Promise<Report> {
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` }
  const response = await fetch(`${url.replace(/\/+$/, '')}${path}?${query.toString()}`, { headers, signal }).catch((cause: unknown) => {
    throw new InferdError('upstream_failed', `no server answers at ${url}`, { cause })
  })
  const body = (await response.json().catch(() => null)) as { readonly error?: { readonly message?: string } } & Report
  if (response.ok && Array.isArray(body?.data)) return body
  throw new InferdError('upstream_failed', body?.error?.message ?? `the server answered with status ${response.status}`)
}
