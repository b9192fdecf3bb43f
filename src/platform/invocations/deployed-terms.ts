/** What deployed endpoints say of their asynchronous invocations, before what the platform's file says. */
import type { AsyncTerms } from '#contract/deployment'
import { type EndpointTerms, folderOf, type TermsOf } from './async-terms.ts'

export interface DeployedAsync {
  readonly terms: AsyncTerms
  /** Of the endpoint, as many as are wanted; one that sleeps is woken. */
  readonly numReplicas: number
}

export class DeployedTerms {
  private readonly byEndpoint = new Map<string, DeployedAsync>()

  /** null: the endpoint says nothing, or is gone. */
  put(endpoint: string, deployed: DeployedAsync | null): void {
    if (deployed === null) this.byEndpoint.delete(endpoint)
    else this.byEndpoint.set(endpoint, deployed)
  }

  over(configured: TermsOf): TermsOf {
    return (team, endpoint) => {
      const deployed = this.byEndpoint.get(endpoint)
      return deployed === undefined ? configured(team, endpoint) : merged(deployed, configured(team, endpoint))
    }
  }
}

/** A failure location of the file is beside the output location of the file: it does not go with another one. */
function merged({ terms, numReplicas }: DeployedAsync, otherwise: EndpointTerms): EndpointTerms {
  const { outputUri, failureUri, maxConcurrent, successTopic, errorTopic, includeResponseIn } = terms
  return {
    outputLocation: folderOf(outputUri) ?? otherwise.outputLocation,
    failureLocation: folderOf(failureUri) ?? (outputUri === null ? otherwise.failureLocation : null),
    maxConcurrentInvocations: maxConcurrent === null ? otherwise.maxConcurrentInvocations : maxConcurrent * Math.max(1, numReplicas),
    successTopics: successTopic === null ? otherwise.successTopics : [successTopic],
    errorTopics: errorTopic === null ? otherwise.errorTopics : [errorTopic],
    includeResponseIn: includeResponseIn ?? otherwise.includeResponseIn,
  }
}
