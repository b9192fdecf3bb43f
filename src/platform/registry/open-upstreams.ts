/** The upstreams of the platform's file as models, with their secrets read. */
import type { Clock } from '#base/clock'
import type { EgressConfig, UpstreamEntry } from '#config/platform-file/upstreams'
import { readSecret } from '#config/read-secret'
import { InferdError } from '#contract/errors'
import { Egress } from '#upstreams/egress'
import { openUpstream, type Upstream, type UpstreamSecrets } from '#upstreams/open-upstream'

export interface OpenUpstreams {
  readonly upstreams: readonly UpstreamEntry[]
  readonly egress: EgressConfig
  readonly clock: Clock
}

/** Connects to nothing. Throws invalid_parameter for what the operator must mend. */
export function openUpstreams({ upstreams, egress: { hosts }, clock }: OpenUpstreams): readonly Upstream[] {
  const egress = new Egress(hosts)
  return upstreams.map((terms) => openUpstream({ terms, secrets: readSecrets(terms), egress, clock }))
}

function readSecrets({ apiKey, accessKeyId, secretAccessKey, sessionToken }: UpstreamEntry): UpstreamSecrets {
  if ((accessKeyId === null) !== (secretAccessKey === null))
    throw new InferdError('invalid_parameter', 'upstreams: accessKeyId and secretAccessKey come together', { param: '--config' })
  return {
    apiKey: apiKey === null ? null : readSecret(apiKey),
    credentials:
      accessKeyId === null || secretAccessKey === null
        ? null
        : {
            accessKeyId: readSecret(accessKeyId),
            secretAccessKey: readSecret(secretAccessKey),
            sessionToken: sessionToken === null ? null : readSecret(sessionToken),
          },
  }
}
