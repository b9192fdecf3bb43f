import { expect, test } from 'vitest'
import { callerPlace, COMPLETION_WORDS, type OperationWords, promptPaths } from './places.ts'

const LIST: OperationWords = {
  ...COMPLETION_WORDS,
  promptPath: promptPaths('prompt', 4),
  outputFormat: 'guided_json',
  reasoning: 'thinking_token_budget',
}

test('places of the engine become the fields of the operation, with the number of the prompt', () => {
  const places = [
    'input',
    'requests[2].input',
    'requests[1].prompt',
    'input[3]',
    'messages',
    'requests[2].numTopLogprobs',
    'sampling.topK',
    'minTokens',
    'output.format',
    'requests[1].output.reasoning',
    'output.tools',
    'input.templateVariables',
  ]
  expect(places.map((place) => callerPlace(place, LIST))).toEqual([
    'prompt',
    'prompt[2]',
    'prompt[1]',
    'prompt[3]',
    'prompt',
    'logprobs',
    'top_k',
    'min_tokens',
    'guided_json',
    'thinking_token_budget',
    'tools',
    'chat_template_kwargs',
  ])
})

test('what is already in the words of the caller stays as it is', () => {
  for (const place of ['model', 'messages[3].content', 'logit_bias', 'constructor']) expect(callerPlace(place, LIST)).toBe(place)
})

test('a list of one says which; a prompt outside a list has no number', () => {
  const [one, bare] = [promptPaths('input', 1), promptPaths('input', null)]
  expect([one(null), one(0), bare(null), bare(0)]).toEqual(['input[0]', 'input[0]', 'input', 'input'])
})
