/** What the platform's file says of asynchronous invocations, for one endpoint. */
import type { AsyncInferenceConfig } from '#config/platform-file/async-inference'

export interface EndpointTerms {
  /** Folders, as `s3://bucket/prefix` without a slash at the end; null = the default one of the team. */
  readonly outputLocation: string | null
  /** null = beside the output. */
  readonly failureLocation: string | null
  readonly maxConcurrentInvocations: number
  /** Names of topics. */
  readonly successTopics: readonly string[]
  readonly errorTopics: readonly string[]
  /** Whether notifications hold the response itself where it is small. */
  readonly includeResponseIn: readonly ('success' | 'error')[]
}

/** What an endpoint says for itself counts before what is said for all. */
export type TermsOf = (team: string, endpoint: string) => EndpointTerms

export function configuredTerms({ endpoints, ...all }: AsyncInferenceConfig): TermsOf {
  const named = new Map(Object.entries(endpoints))
  return (_team, endpoint) => {
    const own = named.get(endpoint)
    return {
      outputLocation: folderOf(own?.outputLocation ?? all.outputLocation),
      failureLocation: folderOf(own?.failureLocation ?? all.failureLocation),
      maxConcurrentInvocations: own?.maxConcurrentInvocations ?? all.maxConcurrentInvocations,
      successTopics: own?.successTopics ?? all.successTopics,
      errorTopics: own?.errorTopics ?? all.errorTopics,
      includeResponseIn: own?.includeResponseIn ?? all.includeResponseIn,
    }
  }
}

/** As EndpointTerms has it. */
export function folderOf(uri: string | null): string | null {
  return uri === null ? null : uri.replace(/\/$/, '')
}
