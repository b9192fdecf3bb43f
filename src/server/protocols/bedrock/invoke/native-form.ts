/** Which family's body it is, by its shape. */
import { invalid, unsupported } from '#server/fields'
import type { Incoming, JsonObject } from '#server/operation'
import { readModelName } from '#server/protocols/bedrock/model-id'

export type FormName = 'anthropic' | 'chat' | 'llama' | 'mistral' | 'titan-embedding'

const MISTRAL_FIELDS = ['max_tokens', 'stop', 'top_k']
const MISTRAL_NAME = /mistral|mixtral|ministral/i

/** Throws invalid_parameter for a body of none of them. */
export function formOf(incoming: Incoming): FormName {
  const { body } = incoming
  const has = (key: string): boolean => isGiven(body, key)
  if (has('anthropic_version')) return 'anthropic'
  if (has('messages')) return 'chat'
  if (has('prompt')) return isMistral(incoming) ? 'mistral' : 'llama'
  if (has('textGenerationConfig'))
    throw unsupported('textGenerationConfig', 'textGenerationConfig: texts of Titan are not supported by this server; use Converse')
  if (has('inputText')) return 'titan-embedding'
  throw invalid(
    'body',
    'the body must be one of: anthropic_version and messages (Anthropic); messages (Mistral chat, OpenAI); prompt (Llama, Mistral); inputText (Titan embeddings)',
  )
}

function isMistral(incoming: Incoming): boolean {
  if (isGiven(incoming.body, 'max_gen_len')) return false
  return MISTRAL_FIELDS.some((key) => isGiven(incoming.body, key)) || MISTRAL_NAME.test(readModelName(incoming))
}

function isGiven(body: JsonObject, key: string): boolean {
  return Object.hasOwn(body, key)
}
