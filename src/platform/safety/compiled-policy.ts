/** A guardrail made ready: what is looked for in each direction. Made once for each version and kept; a call adds its own context. */
import type { GuardContent, GuardFinding, Guardrail, GuardrailPolicy } from '#contract/guardrail'
import { makeGroundingJudge } from './grounding-judge.ts'
import { scorePromptAttack } from './prompt-attack.ts'
import { isCaught, type ClassifiedType, type SafetyPorts } from './safety-ports.ts'
import { compileSpanRules, type SpanRules } from './span-rules.ts'
import { makeTopicJudge, type TopicJudge } from './topic-judge.ts'

/** Judges the meaning of a passage; offsets of its findings are those of the passage. */
export type PassageJudge = (passage: string, signal: AbortSignal) => Promise<readonly GuardFinding[]>

export interface CompiledPolicy {
  readonly policy: GuardrailPolicy
  readonly spans: { readonly input: SpanRules | null; readonly output: SpanRules | null }
  /** null = no rule of this direction reads meaning. `context`: sources and query of the call. */
  judgeOf(direction: 'input' | 'output', context: readonly GuardContent[]): PassageJudge | null
}

export function compilePolicy(policy: GuardrailPolicy, ports: SafetyPorts): CompiledPolicy {
  const embedding = policy.embeddingModel === null ? null : { model: policy.embeddingModel, embed: ports.embed }
  const topics = (direction: 'input' | 'output'): TopicJudge | null =>
    policy.topics.length === 0 ? null : makeTopicJudge(policy.topics, direction, embedding)
  const topicJudges = { input: topics('input'), output: topics('output') }
  return {
    policy,
    spans: { input: compileSpanRules(policy, 'input'), output: compileSpanRules(policy, 'output') },
    judgeOf: (direction, context) => {
      const grounding = direction === 'output' && policy.grounding !== null ? makeGroundingJudge(policy.grounding, context, embedding) : null
      const judges = [topicJudges[direction], filterJudge(policy, direction, ports), grounding].filter((judge) => judge !== null)
      if (judges.length === 0) return null
      return async (passage, signal) => (await Promise.all(judges.map((judge) => judge(passage, signal)))).flat()
    },
  }
}

function filterJudge(policy: GuardrailPolicy, direction: 'input' | 'output', { classifierOf }: SafetyPorts): PassageJudge | null {
  const strengthOf = (filter: GuardrailPolicy['contentFilters'][number]) => (direction === 'input' ? filter.inputStrength : filter.outputStrength)
  const active = policy.contentFilters.filter((filter) => strengthOf(filter) !== 'NONE')
  const attack = direction === 'input' ? active.find(({ type }) => type === 'PROMPT_ATTACK') : undefined
  const classified = active.filter(({ type }) => type !== 'PROMPT_ATTACK')
  const classifier = classified.length === 0 || policy.classifierModel === null ? null : classifierOf(policy.classifierModel)
  if (attack === undefined && classifier === null) return null
  return async (passage, signal) => {
    const whole = { match: passage, start: 0, end: passage.length, threshold: null }
    const findings: GuardFinding[] = []
    if (attack !== undefined) {
      const { score, confidence } = await scorePromptAttack(passage)
      const action = isCaught(confidence, attack.inputStrength) ? 'block' : 'none'
      if (confidence !== 'NONE') findings.push({ policy: 'prompt-attack', rule: 'PROMPT_ATTACK', action, ...whole, score, confidence })
    }
    if (classifier === null) return findings
    const sure = await classifier.classify(
      passage,
      classified.map(({ type }) => type as ClassifiedType),
      signal,
    )
    for (const filter of classified) {
      const confidence = sure[filter.type as ClassifiedType] ?? 'NONE'
      const action = isCaught(confidence, strengthOf(filter)) ? 'block' : 'none'
      if (confidence !== 'NONE') findings.push({ policy: 'content', rule: filter.type, action, ...whole, score: null, confidence })
    }
    return findings
  }
}

const MAX_KEPT = 256

/** Guardrails that were made ready, the latest used last. */
export class PolicyCache {
  private readonly ports: SafetyPorts
  private readonly kept = new Map<string, CompiledPolicy>()

  constructor(ports: SafetyPorts) {
    this.ports = ports
  }

  compile({ team, id, version, updatedMs, policy }: Guardrail): CompiledPolicy {
    const key = JSON.stringify([team, id, version, updatedMs])
    const compiled = this.kept.get(key) ?? compilePolicy(policy, this.ports)
    this.kept.delete(key)
    this.kept.set(key, compiled)
    if (this.kept.size > MAX_KEPT) this.kept.delete(this.kept.keys().next().value!)
    return compiled
  }
}
