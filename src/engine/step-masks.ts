/** The guided rows of one step: noted while the batch is built, filled by their guides while the executor computes. */
import { assert } from '#base/assert'
import { suppressStopping, type TokenMasks } from '#engine/sampling/token-masks'
import type { Clock } from '#base/clock'
import type { Sequence } from '#engine/scheduler/sequence'

export class StepMasks {
  /** Counters that only grow. */
  numMasks = 0
  maskMsSum = 0
  /** Handed to the executor. Never throws: a guide that fails leaves its mask empty. */
  readonly fill = (): void => this.fillAll()
  private readonly masks: TokenMasks
  private readonly clock: Clock
  /** The choice of each mask row. */
  private readonly choices: Sequence[] = []

  constructor(masks: TokenMasks, clock: Clock) {
    this.masks = masks
    this.clock = clock
  }

  clear(): void {
    this.choices.length = 0
  }

  get isEmpty(): boolean {
    return this.choices.length === 0
  }

  /** The choice gets mask row `maskIndex`; called in order of rows. */
  add(choice: Sequence, maskIndex: number): void {
    assert(maskIndex === this.choices.length, 'masks are noted in order')
    this.choices.push(choice)
  }

  private fillAll(): void {
    const startMs = this.clock.nowMs()
    for (let index = 0; index < this.choices.length; index++) {
      const choice = this.choices[index]!
      const words = this.masks.fillRow(index, (row) => choice.guide?.fillMask(row))
      if (choice.numOutputTokens < choice.parameters.minTokens) suppressStopping(words, choice.parameters)
    }
    this.numMasks += this.choices.length
    this.maskMsSum += this.clock.nowMs() - startMs
  }
}
