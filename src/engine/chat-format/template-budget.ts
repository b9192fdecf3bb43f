/**
 * What one rendering may spend. Steps count evaluated nodes, and the characters and items that an operation touches, so that a template
 * can neither loop, recurse, nor grow text without paying; the clock is the second line of defence.
 */
import type { Clock } from '#base/clock'

export interface TemplateLimits {
  /** Evaluated nodes and touched items, plus `stepsPerInputUnit` per UTF-16 unit of the messages. */
  readonly maxSteps: number
  readonly stepsPerInputUnit: number
  /** UTF-16 units of output, plus twice the length of the messages. */
  readonly maxOutputLength: number
  /** Nested evaluations: bounds the stack. */
  readonly maxDepth: number
  readonly maxTimeMs: number
  /** UTF-16 units of template source. */
  readonly maxSourceLength: number
}

export const DEFAULT_TEMPLATE_LIMITS: TemplateLimits = {
  maxSteps: 2_000_000,
  stepsPerInputUnit: 4,
  maxOutputLength: 1_000_000,
  maxDepth: 400,
  maxTimeMs: 2_000,
  maxSourceLength: 262_144,
}

/** A limit was reached. Never leaves this room. */
export class TemplateLimitError extends Error {
  override readonly name = 'TemplateLimitError'
}

const STEPS_BETWEEN_CLOCK_READS = 1024

export class TemplateBudget {
  readonly maxLength: number
  private readonly limits: TemplateLimits
  private readonly clock: Clock
  private readonly deadlineMs: number
  private readonly maxSteps: number
  private steps = 0
  private depth = 0
  private nextClockRead = STEPS_BETWEEN_CLOCK_READS

  constructor(limits: TemplateLimits, clock: Clock, inputLength: number) {
    this.limits = limits
    this.clock = clock
    this.deadlineMs = clock.nowMs() + limits.maxTimeMs
    this.maxSteps = limits.maxSteps + inputLength * limits.stepsPerInputUnit
    this.maxLength = limits.maxOutputLength + inputLength * 2
  }

  enter(): void {
    this.depth += 1
    if (this.depth > this.limits.maxDepth) throw new TemplateLimitError(`more than ${this.limits.maxDepth} nested evaluations`)
    this.charge(1)
  }

  leave(): void {
    this.depth -= 1
  }

  /** Throws TemplateLimitError when the steps or the time are used up. */
  charge(numSteps: number): void {
    this.steps += numSteps
    if (!(this.steps <= this.maxSteps)) throw new TemplateLimitError(`more than ${this.maxSteps} steps`)
    if (this.steps < this.nextClockRead) return
    this.nextClockRead = this.steps + STEPS_BETWEEN_CLOCK_READS
    if (this.clock.nowMs() > this.deadlineMs) throw new TemplateLimitError(`more than ${this.limits.maxTimeMs} ms`)
  }

  /** Call before text of that length is made. */
  allowText(length: number): void {
    if (!(length <= this.maxLength)) throw new TemplateLimitError(`text of more than ${this.maxLength} characters`)
    this.charge(length / 64)
  }
}
