/** What the engine finds at fault in a request, as the field that a Converse client sent. */
const WORDS: Readonly<Record<string, string>> = {
  input: 'messages',
  maxTokens: 'inferenceConfig.maxTokens',
  stopStrings: 'inferenceConfig.stopSequences',
  'output.tools': 'toolConfig.tools',
  'output.format': 'outputConfig.textFormat',
  'output.reasoning': 'additionalModelRequestFields.thinking',
  'sampling.temperature': 'inferenceConfig.temperature',
  'sampling.topP': 'inferenceConfig.topP',
  'sampling.topK': 'additionalModelRequestFields.top_k',
  'sampling.minP': 'additionalModelRequestFields.min_p',
  'sampling.repetitionPenalty': 'additionalModelRequestFields.repetition_penalty',
  'sampling.presencePenalty': 'additionalModelRequestFields.presence_penalty',
  'sampling.frequencyPenalty': 'additionalModelRequestFields.frequency_penalty',
  'sampling.seed': 'additionalModelRequestFields.seed',
}

/** A place that has no word here is returned as it is. */
export function conversePlace(place: string): string {
  return Object.hasOwn(WORDS, place) ? WORDS[place]! : place
}
