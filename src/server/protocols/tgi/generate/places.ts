/** What the engine finds at fault in a request, as the field of a text generation body. */

const WORDS: Readonly<Record<string, string>> = {
  maxTokens: 'parameters.max_new_tokens',
  numTopLogprobs: 'parameters.top_n_tokens',
  stopStrings: 'parameters.stop',
  'output.format': 'parameters.grammar',
  'sampling.temperature': 'parameters.temperature',
  'sampling.topK': 'parameters.top_k',
  'sampling.topP': 'parameters.top_p',
  'sampling.repetitionPenalty': 'parameters.repetition_penalty',
  'sampling.frequencyPenalty': 'parameters.frequency_penalty',
  'sampling.seed': 'parameters.seed',
}

/** A place that is not the engine's own word is returned as it is. */
export function callerPlace(place: string, hasInputList: boolean): string {
  const [, request, field = place] = /^requests\[(\d+)\]\.(.+)$/.exec(place) ?? []
  if (/^(?:input|prompt|messages)(?:\[\d+\])?$/.test(field)) return hasInputList && request !== undefined ? `inputs[${request}]` : 'inputs'
  return Object.hasOwn(WORDS, field) ? (WORDS[field] ?? field) : field
}
