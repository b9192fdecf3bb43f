/** Application Auto Scaling: how clients of AWS have the replicas of endpoints follow their load. */
import { InferdError, toErrorRecord } from '#contract/errors'
import { answerOperation } from '#server/aws-json/answer-operation'
import type { Incoming, ProtocolFamily, ServiceContext, WireReply } from '#server/operation'
import { encodeScalingError } from './encode-error.ts'
import { SCALING_OPERATIONS } from './operations.ts'

const TARGET = 'AnyScaleFrontendService.'

export const applicationAutoScalingFamily: ProtocolFamily = {
  name: 'application-auto-scaling',
  pathPrefixes: [],
  claims: (path, headers) => path === '/' && isOurs(headers['x-amz-target']),
  encodeError: encodeScalingError,
  routes: [{ kind: 'service', method: 'POST', path: '/', matches: (headers) => isOurs(headers['x-amz-target']), bodyKind: 'bytes', handle: answer }],
}

function isOurs(target: unknown): boolean {
  return typeof target === 'string' && target.startsWith(TARGET)
}

async function answer(incoming: Incoming, context: ServiceContext): Promise<WireReply> {
  const name = (incoming.headers['x-amz-target'] ?? '').slice(TARGET.length)
  const operation = Object.hasOwn(SCALING_OPERATIONS, name) ? SCALING_OPERATIONS[name] : undefined
  if (operation !== undefined) return answerOperation(operation, encodeScalingError, incoming, context)
  const refusal = new InferdError('unsupported_parameter', `the operation ${name.replace(/\W/g, '').slice(0, 64)} is not offered by this server`)
  return encodeScalingError(toErrorRecord(refusal), context.requestId)
}
