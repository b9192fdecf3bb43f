/** Token guides in the engine core: what may come, what must, how a choice ends, and what a guide that fails takes with it. */
import { expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { InferdError } from '#contract/errors'
import { MAX_FORCED_TOKENS } from '#engine/scheduler/commit-step'
import { SMALL_CORE, startNullCore } from './null-core.ts'
import { expectedTokens } from './oracle.ts'
import { GREEDY, RecordedSink, generateRequest } from './recorded-sink.ts'
import type { EngineCore } from '#engine/engine-core'
import type { GenerateTokensRequest } from '#engine/scheduler/token-request'
import type { TokenGuide } from '#engine/scheduler/token-guide'

const PROMPT = [5, 9, 13, 21, 7, 3, 11, 30, 2, 44]
const EOS = SMALL_CORE.eosTokenIds[0]!

/** Allows and forces by the number of tokens that were accepted; null = free. */
class ScriptedGuide implements TokenGuide {
  readonly accepted: number[] = []
  numMasks = 0
  private readonly script: {
    readonly allowed?: (numAccepted: number) => readonly number[] | null
    readonly forced?: (numAccepted: number) => readonly number[]
    readonly completeAt?: number
  }

  constructor(script: ScriptedGuide['script']) {
    this.script = script
  }

  get isConstrained(): boolean {
    return this.allowed() !== null
  }

  fillMask(words: Uint32Array): void {
    this.numMasks++
    for (const tokenId of this.allowed()!) words[tokenId >> 5]! |= 1 << (tokenId & 31)
  }

  accept(tokenId: number): void {
    this.accepted.push(tokenId)
  }

  forcedTokens(maxTokens: number): readonly number[] {
    return (this.script.forced?.(this.accepted.length) ?? []).slice(0, maxTokens)
  }

  get isComplete(): boolean {
    return this.accepted.length === this.script.completeAt
  }

  private allowed(): readonly number[] | null {
    return this.script.allowed === undefined ? null : this.script.allowed(this.accepted.length)
  }
}

async function complete(core: EngineCore, request: GenerateTokensRequest): Promise<RecordedSink> {
  const sink = new RecordedSink(request.numChoices)
  core.submit(request, sink)
  await sink.ended
  return sink
}

function guided(guide: TokenGuide, different: Partial<GenerateTokensRequest> = {}): GenerateTokensRequest {
  return generateRequest(PROMPT, { guides: [guide], ...different })
}

const range = (start: number, count: number): number[] => Array.from({ length: count }, (_, index) => start + index)

test('forced tokens come without a step of their own, count as output, and are told to the guide in order', async () => {
  const core = await startNullCore()
  const guide = new ScriptedGuide({ allowed: () => [17, 18], forced: (n) => (n === 1 ? [40, 41, 42] : []), completeAt: 6 })
  const sink = await complete(core, guided(guide, { maxTokens: 20 }))
  const { tokenIds, end } = sink.choices[0]!
  expect(tokenIds.slice(1, 4)).toEqual([40, 41, 42])
  expect(tokenIds).toEqual(guide.accepted)
  for (const tokenId of [tokenIds[0], tokenIds[4], tokenIds[5]]) expect([17, 18]).toContain(tokenId)
  expect(end).toEqual({ reason: 'stop', stopTokenId: null })
  expect(sink.usage!.completionTokens).toBe(6)
  expect(core.stats()).toMatchObject({ numForcedTokens: 3, numMasks: 3, completionTokens: 6, numSteps: 3, computedTokens: 10 + 4 + 1 })
  expect(guide.numMasks).toBe(3)
  await core.close()
})

test('a guide that is free leaves the tokens as they are, and makes no mask', async () => {
  const core = await startNullCore()
  const sink = await complete(core, guided(new ScriptedGuide({}), { ignoreEos: true }))
  expect(sink.choices[0]!.tokenIds).toEqual(expectedTokens(generateRequest(PROMPT, { ignoreEos: true }), 0, 8, SMALL_CORE))
  expect(core.stats()).toMatchObject({ numMasks: 0, numForcedTokens: 0 })
  await core.close()
})

test('a stretch is cut at the most of one step and at the length', async () => {
  const core = await startNullCore()
  const guide = (): TokenGuide => new ScriptedGuide({ forced: (n) => range(1, 62).slice(n - 1, 61) })
  expect((await complete(core, guided(guide(), { maxTokens: 10 }))).choices[0]).toMatchObject({
    tokenIds: { length: 10 },
    end: { reason: 'length', stopTokenId: null },
  })
  const lengths: number[] = []
  const longest: TokenGuide = {
    isConstrained: false,
    isComplete: false,
    fillMask: () => undefined,
    accept: () => undefined,
    forcedTokens: (maxTokens) => {
      lengths.push(maxTokens)
      return range(1, maxTokens).map(() => 8)
    },
  }
  await complete(core, guided(longest, { maxTokens: null, ignoreEos: true }))
  expect(lengths).toEqual([MAX_FORCED_TOKENS, SMALL_CORE.contextLength - PROMPT.length - 2 - MAX_FORCED_TOKENS])
  core.checkInvariants()
  await core.close()
})

test('who wants logprobs has every token sampled under its mask', async () => {
  const core = await startNullCore()
  const guide = new ScriptedGuide({ allowed: (n) => [30 + n], forced: () => [1, 1, 1], completeAt: 3 })
  const sink = await complete(core, guided(guide, { numTopLogprobs: 0 }))
  expect(sink.choices[0]!.tokenIds).toEqual([30, 31, 32])
  expect(sink.choices[0]!.logprobs.length).toBe(3)
  expect(core.stats().numForcedTokens).toBe(0)
  await core.close()
})

test('a stop token among the forced ones ends the choice, and the guide is not told of it', async () => {
  const core = await startNullCore()
  const guide = new ScriptedGuide({ allowed: () => [17], forced: () => [40, 41, 42] })
  const sink = await complete(core, guided(guide, { stopTokenIds: [41] }))
  expect(sink.choices[0]).toMatchObject({ tokenIds: [17, 40], end: { reason: 'stop', stopTokenId: 41 } })
  expect(guide.accepted).toEqual([17, 40])
  expect(sink.usage!.completionTokens).toBe(3)
  await core.close()
})

test('an end-of-sequence token under a mask or among the forced ends the choice, although such tokens are ignored', async () => {
  const core = await startNullCore()
  const masked = await complete(core, guided(new ScriptedGuide({ allowed: (n) => (n === 2 ? [EOS] : [20]) }), { ignoreEos: true }))
  expect(masked.choices[0]).toMatchObject({ tokenIds: [20, 20], end: { reason: 'stop', stopTokenId: EOS } })
  const forced = await complete(core, guided(new ScriptedGuide({ allowed: () => [20], forced: () => [21, EOS, 22] }), { ignoreEos: true }))
  expect(forced.choices[0]).toMatchObject({ tokenIds: [20, 21], end: { reason: 'stop', stopTokenId: EOS } })
  await core.close()
})

test('minTokens holds the end back while the grammar allows something else, and no longer', async () => {
  const core = await startNullCore()
  const guide = (): TokenGuide => new ScriptedGuide({ allowed: (n) => (n < 4 ? [EOS, 20, 21] : [EOS]) })
  const ended = await complete(core, guided(guide(), { minTokens: 6 }))
  expect(ended.choices[0]).toMatchObject({ tokenIds: { length: 4 }, end: { reason: 'stop', stopTokenId: EOS } })
  expect(ended.choices[0]!.tokenIds.every((tokenId) => tokenId === 20 || tokenId === 21)).toBe(true)
  const biased = { ...GREEDY, logitBias: [20, 21].map((tokenId) => ({ tokenId, bias: -Infinity })) }
  const atOnce = await complete(core, guided(guide(), { minTokens: 6, sampling: biased }))
  expect(atOnce.choices[0]).toMatchObject({ tokenIds: [], end: { reason: 'stop', stopTokenId: EOS } })
  await core.close()
})

test("a mask whose tokens the bias forbids ends the request as the asker's, in the words of the output format", async () => {
  const core = await startNullCore()
  const sampling = { ...GREEDY, logitBias: [{ tokenId: 20, bias: -Infinity }] }
  const failed = await complete(core, guided(new ScriptedGuide({ allowed: () => [20] }), { sampling }))
  expect(failed.error).toMatchObject({
    code: 'invalid_parameter',
    param: 'output.format',
    message: 'no token of the vocabulary continues the output under its grammar and bias',
  })
  expect(core.stats()).toMatchObject({ numFreeBlocks: SMALL_CORE.numBlocks, numRunning: 0 })
  await core.close()
})

test('a complete text at its last token is a stop, not a length', async () => {
  const core = await startNullCore()
  const sink = await complete(core, guided(new ScriptedGuide({ allowed: () => [20], completeAt: 8 }), { maxTokens: 8 }))
  expect(sink.choices[0]).toMatchObject({ tokenIds: { length: 8 }, end: { reason: 'stop' } })
  await core.close()
})

test('each choice follows its own guide from the first token on', async () => {
  const core = await startNullCore()
  const guides = range(0, 4).map((choice) => new ScriptedGuide({ allowed: () => [20 + choice], forced: () => range(30, choice), completeAt: 8 }))
  const sink = await complete(core, generateRequest(PROMPT, { numChoices: 4, guides, maxTokens: 30 }))
  for (const [choice, { tokenIds }] of sink.choices.entries()) {
    const period = [20 + choice, ...range(30, choice)]
    expect(tokenIds).toEqual(range(0, tokenIds.length).map((index) => period[index % period.length]))
  }
  core.checkInvariants()
  expect(core.stats()).toMatchObject({ numFreeBlocks: SMALL_CORE.numBlocks })
  await core.close()
})

const boom = (): never => {
  throw new Error('the guide is broken')
}

test.each<[string, Partial<TokenGuide>]>([
  [
    'isConstrained',
    {
      get isConstrained() {
        return boom()
      },
    },
  ],
  ['fillMask', { isConstrained: true, fillMask: boom }],
  ['accept', { accept: boom }],
  ['forcedTokens', { forcedTokens: boom }],
  ['forcedTokens by a token that does not exist', { forcedTokens: () => [SMALL_CORE.vocabSize] }],
  ['forcedTokens by too many', { forcedTokens: (maxTokens) => range(0, maxTokens + 1).map(() => 5) }],
  [
    'isComplete',
    {
      get isComplete() {
        return boom()
      },
    },
  ],
])('a guide that fails in %s ends its own request as internal, is reported, and touches nobody else', async (_, broken) => {
  const failures: unknown[] = []
  const core = await startNullCore({ onGuideFailure: (error) => failures.push(error) })
  const sound: TokenGuide = { isConstrained: false, isComplete: false, fillMask: boom, accept: () => undefined, forcedTokens: () => [] }
  const guide = Object.create(sound, Object.getOwnPropertyDescriptors(broken)) as TokenGuide
  const other = generateRequest([...PROMPT].reverse(), { ignoreEos: true })
  const [failed, untouched] = await Promise.all([complete(core, guided(guide)), complete(core, other)])
  expect(failed.error).toMatchObject({ code: 'internal', message: 'the output could not be guided' })
  expect(failures.length).toBe(1)
  expect(untouched.choices[0]!.tokenIds).toEqual(expectedTokens(other, 0, 8, SMALL_CORE))
  core.checkInvariants()
  expect(core.stats()).toMatchObject({ numFreeBlocks: SMALL_CORE.numBlocks, isBroken: false })
  await core.close()
})

test("a guide's own InferdError passes as it is", async () => {
  const failures: unknown[] = []
  const core = await startNullCore({ onGuideFailure: (error) => failures.push(error) })
  const refusal = new InferdError('invalid_parameter', 'the output grew too deep', { param: 'output.format' })
  const guide = new ScriptedGuide({})
  guide.accept = () => {
    throw refusal
  }
  expect((await complete(core, guided(guide))).error).toBe(refusal)
  expect(failures).toEqual([])
  await core.close()
})

test('the time that masks take is that of the clock', async () => {
  let nowMs = 0
  const guide = new ScriptedGuide({ allowed: () => [20], completeAt: 3 })
  const fillMask = guide.fillMask.bind(guide)
  guide.fillMask = (words) => {
    fillMask(words)
    nowMs += 5
  }
  const core = await startNullCore({ clock: { ...systemClock, nowMs: () => nowMs } })
  await complete(core, guided(guide))
  expect(core.stats()).toMatchObject({ numMasks: 3, maskMsSum: 15 })
  await core.close()
})

test('stretches of many requests under short memory are the same with preemption and without', async () => {
  const requests = (): GenerateTokensRequest[] =>
    range(0, 6).map((index) =>
      generateRequest([...PROMPT, index], {
        maxTokens: 60,
        ignoreEos: true,
        guides: [new ScriptedGuide({ forced: (n) => (n % 3 === 1 ? range(20, 17) : []) })],
        sampling: { ...GREEDY, temperature: 1, seed: index },
      }),
    )
  const outputs: unknown[] = []
  for (const numBlocks of [24, 400]) {
    const core = await startNullCore({ options: { numBlocks, admissionWatermarkBlocks: 0 } })
    const sinks = await Promise.all(requests().map((request) => complete(core, request)))
    expect(core.stats().numPreemptions > 0).toBe(numBlocks === 24)
    expect(core.stats().numForcedTokens).toBeGreaterThan(6 * 30)
    core.checkInvariants()
    outputs.push(sinks.map((sink) => sink.choices))
    await core.close()
  }
  expect(outputs[0]).toEqual(outputs[1])
})
