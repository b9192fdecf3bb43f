/** ApplyGuardrail: a text judged without any model. */
import { InferdError } from '#contract/errors'
import type { AppliedGuardrail, GuardContent, GuardrailService } from '#contract/guardrail'
import type { JsonRecord } from '#contract/generate'
import { Fields, isJsonObject, typeMismatch } from '#server/fields'
import type { Incoming, ServiceContext, WireReply } from '#server/operation'
import type { ServerServices } from '#server/services'
import { jsonReply } from '#server/wire-reply'
import { checkGuardrailId, checkGuardrailVersion } from './call-terms.ts'
import { readQualifiers } from './converse/read-blocks.ts'
import { readMember } from './converse/union-field.ts'
import { actionReason, characterCoverage, encodeAssessment, guardrailUsage } from './guardrail-assessment.ts'

/** Throws resource_not_found where the server has no guardrails at all. */
export function needGuardrails({ guardrails }: ServerServices): GuardrailService {
  if (guardrails === null) throw new InferdError('resource_not_found', 'this server has no guardrails')
  return guardrails
}

export async function applyGuardrail({ params, body }: Incoming, context: ServiceContext): Promise<WireReply> {
  const guardrails = needGuardrails(context.services)
  const guardrail = params['guardrailId'] ?? ''
  const version = params['version'] ?? ''
  checkGuardrailId(guardrail, 'guardrailIdentifier')
  checkGuardrailVersion(version, 'guardrailVersion')
  const fields = new Fields(body)
  fields.check({ source: 'read', content: 'read', outputScope: 'read' })
  const source = fields.word('source', ['INPUT', 'OUTPUT'])
  if (source === null) throw fields.missing('source')
  fields.word('outputScope', ['INTERVENTIONS', 'FULL'])
  const content = readContents(fields, context.limits.maxContentParts)
  const { team } = context.principal
  const applied = await guardrails.apply({ team, guardrail, version }, source === 'INPUT' ? 'input' : 'output', content, context.signal)
  return jsonReply(encodeApplied(applied, content), 200, { 'x-amzn-requestid': context.requestId })
}

function readContents(fields: Fields, maxItems: number): readonly GuardContent[] {
  const items = fields.list('content', { minItems: 1, maxItems })
  if (items === null) throw fields.missing('content')
  return items.map((item, index) => {
    const path = `content[${index}]`
    if (!isJsonObject(item)) throw typeMismatch(path, 'an object', item)
    const block = new Fields(item, path)
    readMember(block, path, { known: ['text'], refused: ['image'] })
    const text = block.requiredFields('text')
    text.check({ text: 'read', qualifiers: 'read' })
    return { text: text.requiredText('text'), qualifiers: readQualifiers(text) }
  })
}

function encodeApplied({ intervened, outputs, assessment }: AppliedGuardrail, content: readonly GuardContent[]): JsonRecord {
  const total = content.reduce((sum, { text }) => sum + text.length, 0)
  return {
    usage: guardrailUsage(assessment.judgedCharacters),
    action: intervened ? 'GUARDRAIL_INTERVENED' : 'NONE',
    actionReason: intervened ? actionReason([assessment]) : 'No action.',
    // As the service does it: without an intervention there is nothing to show instead.
    outputs: intervened ? outputs.map((text) => ({ text })) : [],
    assessments: [encodeAssessment(assessment)],
    guardrailCoverage: characterCoverage(assessment.judgedCharacters, total),
  }
}
