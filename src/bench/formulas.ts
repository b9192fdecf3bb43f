/** What each figure means, in the words that reports print. */

export interface Formula {
  readonly name: string
  readonly words: string
}

export const FORMULAS: readonly Formula[] = [
  { name: 'TTFT', words: 'from sending the request to the first piece of its answer (text, reasoning or a tool call)' },
  { name: 'TPOT', words: '(E2E - TTFT) / (output tokens - 1), one value per request of two output tokens or more' },
  { name: 'ITL', words: 'each gap between neighbouring pieces of an answer, of all answers together; pieces that arrive together have a gap of 0' },
  { name: 'E2E', words: 'from sending the request to the end of its answer' },
  { name: 'client queue', words: 'from the moment at which a request was due to its sending: how far the client itself was behind' },
  { name: 'elapsed', words: 'from sending the first request to the end of the last that was answered or failed' },
  { name: 'requests/s', words: 'answered requests / elapsed' },
  { name: 'output tokens/s', words: 'output tokens of answered requests / elapsed' },
  { name: 'total tokens/s', words: '(prompt tokens + output tokens of answered requests) / elapsed' },
  { name: 'goodput', words: 'answered requests that keep every limit of the SLO / elapsed' },
  { name: 'good share', words: 'answered requests that keep every limit of the SLO / requests that were answered or failed' },
  { name: 'percentile p', words: 'the value at rank p/100 x (count - 1) of the ordered values, linear between the two nearest' },
  { name: 'tokens', words: 'as the usage of the answer tells them; where it tells none, pieces are counted, and prompts have none' },
]
