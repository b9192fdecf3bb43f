/** Which services a signature may be scoped to, by the path that it opens. */
const BEDROCK = ['bedrock']
const SAGEMAKER = ['sagemaker']
const LAMBDA = ['lambda']
/** Paths that are no AWS API: whatever a signing client has been told. */
const ANY = ['bedrock', 'sagemaker', 'application-autoscaling', 'lambda', 'execute-api']
const MONITORING = ['monitoring']
const ROOT = ['sts', ...MONITORING, ...ANY]

const SERVICES: readonly (readonly [prefix: string, services: readonly string[]])[] = [
  ['/model/', BEDROCK],
  ['/guardrail', BEDROCK],
  ['/foundation-models', BEDROCK],
  ['/inference-profiles', BEDROCK],
  ['/endpoints/', SAGEMAKER],
  ['/2015-03-31/functions/', LAMBDA],
  ['/service/', MONITORING],
]

export function servicesOf(path: string): readonly string[] {
  if (path === '/') return ROOT
  return SERVICES.find(([prefix]) => path.startsWith(prefix))?.[1] ?? ANY
}
