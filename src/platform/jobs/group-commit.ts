/**
 * Many writers, one transaction: what comes while a group is written is the next group. Each writer is told when its own is on the disk, so
 * that safety costs one sync for all of them.
 */
import { InferdError } from '#contract/errors'

export interface GroupCommitOptions<Item, Answer> {
  /** All or none; answers in the order of the items. */
  readonly write: (items: readonly Item[]) => Promise<readonly Answer[]>
  readonly maxGroup: number
  /** More than that wait: overloaded. */
  readonly maxWaiting: number
}

interface Waiter<Item, Answer> {
  readonly item: Item
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

export class GroupCommit<Item, Answer> {
  private readonly options: GroupCommitOptions<Item, Answer>
  private waiting: Waiter<Item, Answer>[] = []
  private isWriting = false

  constructor(options: GroupCommitOptions<Item, Answer>) {
    this.options = options
  }

  /** Throws what the write throws, and overloaded. */
  add(item: Item): Promise<Answer> {
    if (this.waiting.length >= this.options.maxWaiting)
      return Promise.reject(new InferdError('overloaded', 'too many writes wait for the store', { retryAfterMs: 1000 }))
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    this.waiting.push({ item, resolve, reject })
    if (!this.isWriting) void this.write()
    return promise
  }

  private async write(): Promise<void> {
    this.isWriting = true
    // Those of this turn of the event loop are one group.
    await Promise.resolve()
    while (this.waiting.length > 0) {
      const group = this.waiting.slice(0, this.options.maxGroup)
      this.waiting = this.waiting.slice(group.length)
      try {
        const answers = await this.options.write(group.map(({ item }) => item))
        for (const [index, { resolve }] of group.entries()) resolve(answers[index] as Answer)
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    this.isWriting = false
  }
}
