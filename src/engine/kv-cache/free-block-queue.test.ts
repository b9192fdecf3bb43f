import { expect, test } from 'vitest'
import { createBlocks } from './block.ts'
import { FreeBlockQueue } from './free-block-queue.ts'

function filledQueue(numBlocks: number) {
  const blocks = createBlocks(numBlocks)
  const queue = new FreeBlockQueue()
  for (const block of blocks) queue.append(block)
  return { blocks, queue }
}

const idsOf = (queue: FreeBlockQueue): number[] => [...queue].map((block) => block.blockId)

test('blocks are taken in the order in which they were freed', () => {
  const { queue } = filledQueue(3)
  expect([queue.takeFirst().blockId, queue.takeFirst().blockId, queue.takeFirst().blockId]).toEqual([0, 1, 2])
  expect(queue.numBlocks).toBe(0)
})

test('a block leaves from the head, the middle or the tail and the rest keeps its order', () => {
  const { blocks, queue } = filledQueue(5)
  for (const [index, rest] of [
    [2, [0, 1, 3, 4]],
    [0, [1, 3, 4]],
    [4, [1, 3]],
  ] as const) {
    queue.remove(blocks[index]!)
    expect(idsOf(queue)).toEqual(rest)
    queue.checkInvariants()
  }
  queue.append(blocks[0]!)
  expect(idsOf(queue)).toEqual([1, 3, 0])
})

test('removing a block that is not queued, or queuing one twice, is a bug', () => {
  const { blocks, queue } = filledQueue(3)
  expect(() => queue.append(blocks[1]!)).toThrow('in the free queue already')
  expect(() => queue.append(blocks[0]!)).toThrow('in the free queue already')
  queue.remove(blocks[1]!)
  expect(() => queue.remove(blocks[1]!)).toThrow('not in the free queue')
})

test('taking from an empty queue is a bug', () => {
  expect(() => new FreeBlockQueue().takeFirst()).toThrow('no free block left')
})
