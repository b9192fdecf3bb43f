/** The simulation must notice when the engine is wrong: each test breaks one thing on purpose and expects a failing seed. */
// oxlint-disable typescript/unbound-method -- every original is called with its own `this`
import { afterEach, expect, test, vi } from 'vitest'
import { BlockHasher } from '#engine/kv-cache/block-hash'
import { BlockPool } from '#engine/kv-cache/block-pool'
import { PrefixCache } from '#engine/kv-cache/prefix-cache'
import { TokenMasks } from '#engine/sampling/token-masks'
import { ChoiceGuide } from '#engine/scheduler/choice-guide'
import { RequestQueue } from '#engine/scheduler/request-queue'
import { Scheduler } from '#engine/scheduler/scheduler'
import { Sequence } from '#engine/scheduler/sequence'
import { SequenceBlocks } from '#engine/scheduler/sequence-blocks'
import { StepEvents } from '#engine/scheduler/step-events'
import { simulate } from './simulate.ts'
import type { BlockHash } from '#engine/kv-cache/block'

afterEach(() => {
  vi.restoreAllMocks()
})

/** The message of the first failing seed; '' when none of them notices. */
async function firstFailure(): Promise<string> {
  for (let seed = 1; seed <= 40; seed++) {
    try {
      await simulate({ seed, numSteps: 300 })
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
  return ''
}

/** True in every `period`-th call. */
function everyNth(period: number): () => boolean {
  let numCalls = 0
  return () => ++numCalls % period === 0
}

test('a skipped ref decrement is noticed', async () => {
  const free = BlockPool.prototype.free
  const skips = everyNth(50)
  vi.spyOn(BlockPool.prototype, 'free').mockImplementation(function (this: BlockPool, blockId) {
    if (!skips()) free.call(this, blockId)
  })
  expect(await firstFailure()).toContain('holders')
})

test('a block that is freed twice is noticed', async () => {
  const free = BlockPool.prototype.free
  const repeats = everyNth(50)
  vi.spyOn(BlockPool.prototype, 'free').mockImplementation(function (this: BlockPool, blockId) {
    free.call(this, blockId)
    if (repeats()) free.call(this, blockId)
  })
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('a shared block that is written without a copy is noticed by what is in the cache', async () => {
  vi.spyOn(BlockPool.prototype, 'isShared').mockReturnValue(false)
  vi.spyOn(BlockPool.prototype, 'assertWritable').mockReturnValue(undefined)
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('a prefix hit that does not hold its block is noticed', async () => {
  vi.spyOn(BlockPool.prototype, 'touchHit').mockImplementation(function (this: BlockPool, hash: BlockHash) {
    const find = (this as unknown as { findHit(hash: BlockHash): { blockId: ReturnType<BlockPool['allocate']> } }).findHit
    return find.call(this, hash).blockId
  })
  expect(await firstFailure()).toContain('holders')
})

test('a taken block that stays findable is noticed', async () => {
  vi.spyOn(PrefixCache.prototype, 'forget').mockReturnValue(undefined)
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('a block hash without its parent is noticed', async () => {
  const finish = BlockHasher.prototype.finish
  vi.spyOn(BlockHasher.prototype, 'finish').mockImplementation(function (this: BlockHasher) {
    return finish.call(this, 'no parent at all......' as BlockHash)
  })
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('tenants that share a namespace are noticed', async () => {
  const hashBlocks = Sequence.prototype.hashBlocks
  vi.spyOn(Sequence.prototype, 'hashBlocks').mockImplementation(function (this: Sequence, numBlocks, blockSize) {
    Object.assign(this.request, { rootHash: 'the same for all salts' })
    return hashBlocks.call(this, numBlocks, blockSize)
  })
  expect(await firstFailure()).toContain('this salt never computed')
})

test('a queue that is served from its end is noticed', async () => {
  vi.spyOn(RequestQueue.prototype, 'first', 'get').mockImplementation(function (this: RequestQueue) {
    return (this as unknown as { sequences: Sequence[] }).sequences.at(-1) ?? null
  })
  expect(await firstFailure()).toContain('a request was passed')
})

test('an abort that is forgotten is noticed', async () => {
  const abort = Scheduler.prototype.abort
  const forgets = everyNth(10)
  vi.spyOn(Scheduler.prototype, 'abort').mockImplementation(function (this: Scheduler, request, error, events) {
    if (error.code !== 'cancelled' || !forgets()) abort.call(this, request, error, events)
  })
  expect(await firstFailure()).toContain('an aborted request lives on')
})

test('a second terminal event is noticed', async () => {
  const end = StepEvents.prototype.end
  vi.spyOn(StepEvents.prototype, 'end').mockImplementation(function (this: StepEvents, request) {
    end.call(this, request)
    end.call(this, request)
  })
  expect(await firstFailure()).toContain('a request ends once')
})

test('a preempted sequence that is taken for computed is noticed', async () => {
  const release = SequenceBlocks.prototype.release
  vi.spyOn(SequenceBlocks.prototype, 'release').mockImplementation(function (this: SequenceBlocks, sequence) {
    const { numComputedTokens } = sequence
    release.call(this, sequence)
    sequence.numComputedTokens = numComputedTokens
  })
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('a mask that is ignored is noticed', async () => {
  const fillRow = TokenMasks.prototype.fillRow
  vi.spyOn(TokenMasks.prototype, 'fillRow').mockImplementation(function (this: TokenMasks, index, fill) {
    return fillRow.call(this, index, fill).fill(0xffffffff)
  })
  expect(await firstFailure()).toMatch(/alone it gets|a guide failed that is sound/)
})

test('the mask of another row is noticed', async () => {
  const fillRow = TokenMasks.prototype.fillRow
  vi.spyOn(TokenMasks.prototype, 'fillRow').mockImplementation(function (this: TokenMasks, index, fill) {
    return fillRow.call(this, Math.max(0, index - 1), fill)
  })
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('a forced token that its guide is not told of is noticed', async () => {
  const forcedTokens = ChoiceGuide.prototype.forcedTokens
  const accept = ChoiceGuide.prototype.accept
  let numToSkip = 0
  vi.spyOn(ChoiceGuide.prototype, 'forcedTokens').mockImplementation(function (this: ChoiceGuide, maxTokens) {
    const forced = forcedTokens.call(this, maxTokens)
    numToSkip = Math.min(1, forced.length)
    return forced
  })
  vi.spyOn(ChoiceGuide.prototype, 'accept').mockImplementation(function (this: ChoiceGuide, tokenId) {
    if (numToSkip === 0) accept.call(this, tokenId)
    numToSkip = 0
  })
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('a stretch that is cut is noticed', async () => {
  const forcedTokens = ChoiceGuide.prototype.forcedTokens
  vi.spyOn(ChoiceGuide.prototype, 'forcedTokens').mockImplementation(function (this: ChoiceGuide, maxTokens) {
    return forcedTokens.call(this, maxTokens).slice(1)
  })
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('a complete text that goes on is noticed', async () => {
  vi.spyOn(ChoiceGuide.prototype, 'isComplete').mockReturnValue(false)
  expect(await firstFailure()).toMatch(/behind a complete text|by its length|a guide failed that is sound/)
})

test('blocks of forced tokens that are not counted are noticed', async () => {
  const countMissing = SequenceBlocks.prototype.countMissing
  vi.spyOn(SequenceBlocks.prototype, 'countMissing').mockImplementation(function (this: SequenceBlocks, sequence) {
    return Math.min(1, countMissing.call(this, sequence))
  })
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('a failing guide that is taken for a sound one is noticed', async () => {
  vi.spyOn(Scheduler.prototype, 'failGuide').mockReturnValue(undefined)
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})

test('a draw that does not count forced tokens is noticed', async () => {
  const appendToken = Sequence.prototype.appendToken
  let numCalls = 0
  vi.spyOn(Sequence.prototype, 'appendToken').mockImplementation(function (this: Sequence, tokenId) {
    appendToken.call(this, tokenId)
    if (this.numNewestTokens > 1 && ++numCalls % 5 === 0) this.numOutputTokens--
  })
  expect(await firstFailure()).toMatch(/simulation seed \d+/)
})
