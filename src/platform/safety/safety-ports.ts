/** What judges of meaning ask of the models that this server runs. Failures reject: what cannot be judged is not let through. */
import type { ContentFilterType } from '#contract/guardrail'

export type Confidence = 'NONE' | 'LOW' | 'MEDIUM' | 'HIGH'
export type ClassifiedType = Exclude<ContentFilterType, 'PROMPT_ATTACK'>

/** Unit-length vectors, one for each text. */
export type EmbedTexts = (model: string, texts: readonly string[], signal: AbortSignal) => Promise<readonly Float32Array[]>

export interface Classifier {
  /** How sure it is, for each type, that the text falls under it. */
  classify(text: string, types: readonly ClassifiedType[], signal: AbortSignal): Promise<Readonly<Partial<Record<ClassifiedType, Confidence>>>>
}

export interface SafetyPorts {
  readonly embed: EmbedTexts
  /** The classifier that asks this model. */
  readonly classifierOf: (model: string) => Classifier
}

export const CONFIDENCES: readonly Confidence[] = ['NONE', 'LOW', 'MEDIUM', 'HIGH']

/** The weakest confidence that a strength acts on: the stronger the filter, the less sure it must be. */
const LEAST_CONFIDENCE = { NONE: 4, LOW: 3, MEDIUM: 2, HIGH: 1 } as const

export function isCaught(confidence: Confidence, strength: keyof typeof LEAST_CONFIDENCE): boolean {
  return CONFIDENCES.indexOf(confidence) >= LEAST_CONFIDENCE[strength]
}
