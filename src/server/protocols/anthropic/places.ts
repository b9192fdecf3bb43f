/** What the engine finds at fault in a request, as the field that an Anthropic client sent. */
const WORDS: Readonly<Record<string, string>> = {
  input: 'messages',
  prompt: 'messages',
  messages: 'messages',
  maxTokens: 'max_tokens',
  stopStrings: 'stop_sequences',
  'output.tools': 'tools',
  'output.format': 'output_config.format',
  'output.reasoning': 'thinking',
  'sampling.temperature': 'temperature',
  'sampling.topK': 'top_k',
  'sampling.topP': 'top_p',
}

/** A place that has no word here is returned as it is. */
export function callerPlace(place: string): string {
  return Object.hasOwn(WORDS, place) ? WORDS[place]! : place
}
