/** Chat templates in the style of each family: text against Jinja2, ids against the tokenizers package, and what hostile messages cannot do. */
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { InferdError } from '#contract/errors'
import type { ChatMessage } from '#contract/generate'
import { ChatTemplate } from '#engine/chat-format/chat-template'
import { renderChat } from '#engine/chat-format/render-chat'
import type { Tokenizer } from '#engine/tokenizers/tokenizer'
import { loadJsonFixture, readFixture } from './fixtures.ts'

interface ChatFixture {
  readonly conversations: readonly (readonly ChatMessage[])[]
  readonly cases: readonly {
    readonly name: string
    readonly source: string
    readonly bos: string
    readonly eos: string
    readonly prompts: readonly ({ readonly text: string; readonly ids: readonly number[] } | null)[]
  }[]
}

const fixture = readFixture<ChatFixture>('chat.json')
const tokenizer = loadJsonFixture('bpe-llama3')

/** The same tokenizer with the family's own begin and end tokens. */
function withEnds(bos: string, eos: string): Tokenizer {
  return {
    vocabSize: tokenizer.vocabSize,
    bosTokenId: tokenizer.tokenId(bos),
    eosTokenIds: [tokenizer.tokenId(eos)!],
    stripsLeadingSpace: false,
    encode: (text, options) => tokenizer.encode(text, options),
    tokenBytes: (tokenId) => tokenizer.tokenBytes(tokenId),
    tokenKind: (tokenId) => tokenizer.tokenKind(tokenId),
    tokenText: (tokenId) => tokenizer.tokenText(tokenId),
    tokenId: (text) => tokenizer.tokenId(text),
  }
}

/** Text of a prompt, special tokens by their literals. */
function textOfIds(ids: readonly number[]): string {
  return Buffer.concat(
    ids.map((id) => (tokenizer.tokenKind(id) === 'control' ? Buffer.from(tokenizer.tokenText(id)) : tokenizer.tokenBytes(id))),
  ).toString('utf8')
}

/** Control tokens, and the user-defined ones that the template itself writes. */
function turnTokensOf(ids: readonly number[], source: string): string[] {
  const isTurnToken = (id: number) =>
    tokenizer.tokenKind(id) === 'control' || (tokenizer.tokenKind(id) === 'user-defined' && source.includes(tokenizer.tokenText(id)))
  return ids.filter(isTurnToken).map((id) => tokenizer.tokenText(id))
}

for (const { name, source, bos, eos, prompts } of fixture.cases) {
  const template = ChatTemplate.compile(source)
  const ends = withEnds(bos, eos)

  describe(name, () => {
    test('renders what Jinja2 renders and encodes to the ids of the whole prompt', () => {
      expect(template.problem).toBeNull()
      fixture.conversations.forEach((messages, index) => {
        const expected = prompts[index]!
        if (expected === null) {
          expect(() => renderChat(template, ends, messages)).toThrow(InferdError)
          return
        }
        const text = template.render({ messages, addGenerationPrompt: true, bosToken: bos, eosToken: eos })
        expect(text).toBe(expected.text)
        expect(renderChat(template, ends, messages).tokenIds).toEqual(expected.ids)
      })
    })

    test('special tokens in any message stay text, and the turns stay those of harmless messages', () => {
      const random = new SeededRandom(name.length)
      const literals = Array.from({ length: tokenizer.vocabSize }, (_, id) => id)
        .filter((id) => tokenizer.tokenKind(id) !== 'normal')
        .map((id) => tokenizer.tokenText(id))
      const fragments = [...literals, ' ', '\n', 'hi', '<|', '|>', '<', '>', '\ufffe0\ufffe', 'im_start', '[', 'system\n']
      const hostileText = () => Array.from({ length: 1 + random.nextInt(6) }, () => fragments[random.nextInt(fragments.length)]!).join('')
      for (let round = 0; round < 300; round += 1) {
        const numMessages = 1 + random.nextInt(3)
        const roles = Array.from({ length: numMessages }, (_, index) => (index % 2 === 0 ? 'user' : 'assistant'))
        const hostile = roles.map((role): ChatMessage => ({ role, content: role === 'user' ? `x${hostileText()}x` : 'fine' }))
        const harmless = roles.map((role): ChatMessage => ({ role, content: role === 'user' ? 'xx' : 'fine' }))
        const { tokenIds: ids } = renderChat(template, ends, hostile)
        expect(turnTokensOf(ids, source)).toEqual(turnTokensOf(renderChat(template, ends, harmless).tokenIds, source))
        expect(textOfIds(ids)).toBe(template.render({ messages: hostile, addGenerationPrompt: true, bosToken: bos, eosToken: eos }))
      }
    })
  })
}
