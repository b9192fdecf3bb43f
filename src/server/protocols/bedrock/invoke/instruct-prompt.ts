/**
 * A prompt that spells a conversation in the marks of Llama 3, Llama 2 or Mistral, as the bodies of these families ask their callers to.
 * Read back as messages, it is rendered with the template of the model that answers, and the text of a turn cannot open another one.
 */
import type { ChatMessage } from '#contract/generate'

const HEADER = '<|start_header_id|>'
const HEADER_END = '<|end_header_id|>'
const TURN_END = '<|eot_id|>'
const INST = '[INST]'
const INST_END = '[/INST]'
const ANSWER_END = '</s>'
const SYSTEM = /^\s*<<SYS>>([^]*?)<<\/SYS>>/
const LEFT_OVER = /<\|(?:begin_of_text|start_header_id|end_header_id|eot_id)\|>|\[\/?INST\]|<\/?s>|<<\/?SYS>>/

/** null = not wholly of such a form, or no turn of the user at its end: the prompt is a text. Linear in its length. */
export function readInstructPrompt(prompt: string): readonly ChatMessage[] | null {
  const text = prompt.trim()
  const messages = text.includes(HEADER) ? readHeaders(text) : text.endsWith(INST_END) ? readInstructions(text) : null
  if (messages === null || messages.some(({ content }) => LEFT_OVER.test(content))) return null
  const isSystemFirst = messages.every(({ role }, index) => role !== 'system' || index === 0)
  return isSystemFirst && messages.at(-1)?.role === 'user' ? messages : null
}

/** Llama 3: a header and a turn, over and over; the header of the answer stands alone at the end. */
function readHeaders(text: string): ChatMessage[] | null {
  const [before = '', ...turns] = text.split(HEADER)
  const last = turns.pop()?.trimEnd()
  if (!['', '<|begin_of_text|>'].includes(before.trim()) || last !== `assistant${HEADER_END}`) return null
  const messages = turns.map(readTurn)
  return messages.every((message) => message !== null) ? messages : null
}

function readTurn(turn: string): ChatMessage | null {
  const nameEnd = turn.indexOf(HEADER_END)
  const end = turn.trimEnd()
  const role = turn.slice(0, Math.max(0, nameEnd))
  if ((role !== 'system' && role !== 'user' && role !== 'assistant') || !end.endsWith(TURN_END)) return null
  return { role, content: end.slice(nameEnd + HEADER_END.length, -TURN_END.length).trim() }
}

/** Mistral and Llama 2: [INST] question [/INST] answer </s>, over and over; the last question stands alone. */
function readInstructions(text: string): ChatMessage[] | null {
  const messages: ChatMessage[] = []
  let rest = text
  while (rest !== '') {
    rest = rest.replace(/^<s>/, '').trimStart()
    const end = rest.indexOf(INST_END)
    if (!rest.startsWith(INST) || end < 0) return null
    messages.push(...readQuestion(rest.slice(INST.length, end), messages.length === 0))
    rest = rest.slice(end + INST_END.length)
    if (rest === '') break
    const answerEnd = rest.indexOf(ANSWER_END)
    if (answerEnd < 0) return null
    messages.push({ role: 'assistant', content: rest.slice(0, answerEnd).trim() })
    rest = rest.slice(answerEnd + ANSWER_END.length).trimStart()
  }
  return messages
}

function readQuestion(text: string, isFirst: boolean): ChatMessage[] {
  const [head = '', system] = (isFirst ? SYSTEM.exec(text) : null) ?? []
  const question: ChatMessage = { role: 'user', content: text.slice(head.length).trim() }
  return system === undefined ? [question] : [{ role: 'system', content: system.trim() }, question]
}
