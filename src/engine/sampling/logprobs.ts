/** The reused view through which a row's logprobs leave the core. */
import { MAX_TOP_LOGPROBS } from './sampling-columns.ts'
import type { SampledColumns } from './sampling-columns.ts'

export class LogprobsView {
  logprob = 0
  numTop = 0
  readonly topTokenIds = new Int32Array(MAX_TOP_LOGPROBS)
  readonly topLogprobs = new Float32Array(MAX_TOP_LOGPROBS)

  /** Hot: per token. Copies logit row `row` of a step's output. */
  fill(output: SampledColumns, row: number, numTop: number): void {
    this.logprob = output.logprobs[row]!
    this.numTop = numTop
    const start = row * MAX_TOP_LOGPROBS
    for (let index = 0; index < numTop; index++) {
      this.topTokenIds[index] = output.topTokenIds[start + index]!
      this.topLogprobs[index] = output.topLogprobs[start + index]!
    }
  }
}
