/** What the operations on models, configurations and endpoints have in common. */
import { InferdError } from '#contract/errors'
import type { DeploymentDesk } from '#contract/deployment'
import type { ServiceContext } from '#server/operation'
import type { Scope } from '#contract/principal'

/** Clients show it and take no other form; it stands for no account and no region. */
const ARN_PREFIX = 'arn:aws:sagemaker:local:000000000000:'

export type DeployedKind = 'model' | 'endpoint-config' | 'endpoint'

const WORDS: Readonly<Record<DeployedKind, string>> = { model: 'model', 'endpoint-config': 'endpoint configuration', endpoint: 'endpoint' }

export function arnOf(kind: DeployedKind, name: string): string {
  return `${ARN_PREFIX}${kind}/${name}`
}

/** Throws forbidden for a key without the scope, and unsupported_parameter where the server has no deployments. */
export function deskFor({ principal, services: { deployments } }: ServiceContext, scope: Scope): DeploymentDesk {
  if (!principal.scopes.includes(scope)) throw new InferdError('forbidden', `this needs a key with the scope ${scope}`)
  if (deployments === null) throw new InferdError('unsupported_parameter', 'this server keeps no deployments')
  return deployments
}

/** SageMaker says ValidationException of what is not there, of names that are taken, and of what is in use or on its way. */
export async function validated<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof InferdError) || !['resource_not_found', 'conflict', 'model_not_found', 'insufficient_memory'].includes(error.code))
      throw error
    throw new InferdError('invalid_parameter', error.message, { cause: error })
  }
}

export function need<T>(found: T | null, kind: DeployedKind, name: string): T {
  if (found === null) throw new InferdError('invalid_parameter', `Could not find ${WORDS[kind]} "${arnOf(kind, name)}".`)
  return found
}

export function requireNew(found: object | null, kind: DeployedKind, name: string): void {
  if (found !== null) throw new InferdError('invalid_parameter', `Cannot create already existing ${WORDS[kind]} "${arnOf(kind, name)}".`)
}

export function seconds(ms: number): number {
  return ms / 1000
}
