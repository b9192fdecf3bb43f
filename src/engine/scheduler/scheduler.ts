/**
 * Which sequences run and on which blocks. The policy is elsewhere (decide-step.ts, preemption.ts); this is the one place that
 * moves sequences between the queue, the running list and the end.
 *
 *   submit -> queue -> admit -> running -> end
 *               ^----- preempt ----'
 */
import { InferdError } from '#contract/errors'
import { assert } from '#base/assert'
import { BlockHasher } from '#engine/kv-cache/block-hash'
import { checkRequest } from './accept-request.ts'
import { ActiveRequest } from './active-request.ts'
import type { BackgroundShare } from './background-share.ts'
import { commitStep } from './commit-step.ts'
import { decideStep } from './decide-step.ts'
import { chooseVictim, forgetComputed } from './preemption.ts'
import { RequestQueue } from './request-queue.ts'
import { SequenceBlocks } from './sequence-blocks.ts'
import { compareSequences, insertSequence, removeSequence } from './sequence.ts'
import { StepPlan } from './step-plan.ts'
import type { FinishReason } from '#contract/generate'
import type { CommitTarget, ComputedStep } from './commit-step.ts'
import type { StepDecision } from './decide-step.ts'
import type { SchedulerOptions } from './scheduler-options.ts'
import type { Sequence } from './sequence.ts'
import type { StepEvents } from './step-events.ts'
import type { CandidateView } from './step-view.ts'
import type { TokenRequest, TokenSink } from './token-request.ts'

const NOTHING_CONTINUES = 'no token of the vocabulary continues the output under its grammar and bias'

/** Counters that only grow. */
interface SchedulerCounters {
  numSteps: number
  numPreemptions: number
  numCopiedBlocks: number
  promptTokens: number
  cachedPromptTokens: number
  completionTokens: number
  numForcedTokens: number
  computedTokens: number
}

interface SchedulerParts {
  /** Told what a guide threw, unless it is an InferdError. Must not throw. */
  readonly onGuideFailure: (error: unknown) => void
  readonly backgroundShare: Pick<BackgroundShare, 'maxTokens'>
}

export class Scheduler implements CommitTarget {
  readonly blocks: SequenceBlocks
  readonly counters: SchedulerCounters = {
    numSteps: 0,
    numPreemptions: 0,
    numCopiedBlocks: 0,
    promptTokens: 0,
    cachedPromptTokens: 0,
    completionTokens: 0,
    numForcedTokens: 0,
    computedTokens: 0,
  }
  private readonly options: SchedulerOptions
  private readonly maxSequenceTokens: number
  private readonly hasher: BlockHasher
  private readonly queue: RequestQueue
  /** Sorted by compareSequences. */
  private readonly running: Sequence[] = []
  private readonly stepPlan: StepPlan
  private readonly decision: StepDecision
  private readonly backgroundShare: Pick<BackgroundShare, 'maxTokens'>
  private numArrivals = 0
  private readonly onGuideFailure: (error: unknown) => void

  constructor(options: SchedulerOptions, { onGuideFailure, backgroundShare }: SchedulerParts) {
    this.options = options
    this.onGuideFailure = onGuideFailure
    this.backgroundShare = backgroundShare
    this.maxSequenceTokens = Math.min(options.contextLength, options.numBlocks * options.blockSize)
    this.blocks = new SequenceBlocks({ ...options, maxSequenceTokens: this.maxSequenceTokens })
    this.hasher = new BlockHasher(options.blockSize)
    this.queue = new RequestQueue(options.maxWaitingRequests)
    this.stepPlan = new StepPlan(options.maxSequences)
    this.decision = { action: 'run', numTokens: new Int32Array(options.maxSequences) }
  }

  get numWaiting(): number {
    return this.queue.numWaiting
  }

  get numRunning(): number {
    return this.running.length
  }

  get hasWork(): boolean {
    return this.running.length > 0 || this.queue.numWaiting > 0
  }

  /** Queues a request, or throws the InferdError of its refusal. */
  submit(request: TokenRequest, sink: TokenSink): ActiveRequest {
    checkRequest(request, this.options)
    this.queue.requireRoom()
    const active = new ActiveRequest({
      request,
      sink,
      arrivalIndex: this.numArrivals++,
      arrivalStep: this.counters.numSteps,
      maxSequenceTokens: this.maxSequenceTokens,
      priorityAgingSteps: this.options.priorityAgingSteps,
      eosTokenIds: this.options.eosTokenIds,
      hiddenSize: this.options.hiddenSize,
      vocabSize: this.options.vocabSize,
      modelIdentity: this.options.modelIdentity,
      hasher: this.hasher,
    })
    this.queue.insert(active.sequences[0]!)
    return active
  }

  /** Decides the next step and takes its blocks. Null = there is nothing to do. The plan is valid until the next call. */
  plan(events: StepEvents): StepPlan | null {
    if (!this.hasWork) return null
    this.decide(events)
    const plan = this.stepPlan
    plan.clear()
    const { numTokens } = this.decision
    for (let index = 0; index < this.running.length; index++) {
      if (numTokens[index] === 0) continue
      const sequence = this.running[index]!
      plan.add(sequence, numTokens[index]!)
      this.blocks.prepareWrite(sequence, numTokens[index]!, plan)
    }
    assert(plan.numSequences > 0, 'there is work, but no step')
    this.counters.numCopiedBlocks += plan.numCopies
    return plan
  }

  /** Takes in what a step of the last plan() computed. */
  commit(plan: StepPlan, output: ComputedStep, events: StepEvents): void {
    this.counters.numSteps++
    this.counters.computedTokens += plan.numTokensTotal
    commitStep(plan, output, this, events)
    plan.clear()
  }

  /** Ends a request at any stage; its blocks are free when this returns. Does nothing when it has ended. */
  abort(request: ActiveRequest, error: InferdError, events: StepEvents): void {
    if (request.hasEnded) return
    for (const sequence of request.sequences) this.drop(sequence)
    request.numOpenChoices = 0
    request.hasEnded = true
    events.error(request, error)
  }

  /** Ends every request, those that run and those that wait, in order. */
  abortAll(error: InferdError, events: StepEvents): void {
    for (let sequence = this.running[0] ?? this.queue.first; sequence !== null; sequence = this.running[0] ?? this.queue.first) {
      this.abort(sequence.request, error, events)
    }
  }

  /** Ends a choice on the caller's wish; see RequestHandle.finishChoice. */
  finishChoice(request: ActiveRequest, choice: number, events: StepEvents): void {
    const sequence = request.sequences[choice]
    if (request.hasEnded || request.kind === 'embed' || sequence === undefined || sequence.state === 'ended') return
    if (sequence.numOutputTokens === 0) sequence.isFinishRequested = true
    else this.endChoice(sequence, { reason: 'stop', stopTokenId: null }, events)
  }

  addRunning(sequence: Sequence): void {
    sequence.state = 'running'
    insertSequence(this.running, sequence)
  }

  endChoice(sequence: Sequence, end: { readonly reason: FinishReason; readonly stopTokenId: number | null }, events: StepEvents): void {
    const { request } = sequence
    this.drop(sequence)
    request.numOpenChoices--
    if (request.kind === 'generate') events.choiceEnd(request, { choice: sequence.choice, reason: end.reason, stopTokenId: end.stopTokenId })
    if (request.numOpenChoices > 0) return
    request.hasEnded = true
    events.end(request)
  }

  failNonFinite(sequence: Sequence, events: StepEvents): void {
    for (const choice of sequence.request.sequences) if (choice.table !== null) this.blocks.forget(choice)
    this.abort(sequence.request, new InferdError('non_finite_logits', 'the model computed values that are not finite numbers'), events)
  }

  failForbidden(choice: Sequence, events: StepEvents): void {
    const error = choice.isMasked
      ? new InferdError('invalid_parameter', NOTHING_CONTINUES, { param: 'output.format' })
      : new InferdError('invalid_parameter', 'logit_bias forbids every token', { param: 'logit_bias' })
    this.abort(choice.request, error, events)
  }

  failGuide(choice: Sequence, cause: unknown, events: StepEvents): void {
    const isKnown = cause instanceof InferdError
    if (!isKnown) this.onGuideFailure(cause)
    this.abort(choice.request, isKnown ? cause : new InferdError('internal', 'the output could not be guided', { cause }), events)
  }

  /** Throws BugError unless queue, running list and blocks agree. */
  checkInvariants(): void {
    this.queue.checkInvariants()
    this.blocks.checkInvariants(this.running)
    let numSlots = 0
    let previous: Sequence | null = null
    for (const sequence of this.running) {
      const { request } = sequence
      assert(sequence.state === 'running' && !request.hasEnded && request.hasStarted, 'what runs has started and not ended')
      assert(sequence.numPendingTokens >= 1, 'a running sequence has something to compute')
      assert(sequence.numKnownTokens <= this.maxSequenceTokens, 'a sequence outgrew the context')
      assert(previous === null || compareSequences(previous, sequence) < 0, 'the running list is out of order')
      numSlots += sequence.numSlots
      previous = sequence
    }
    assert(numSlots <= this.options.maxSequences, 'more sequences run than may')
  }

  private decide(events: StepEvents): void {
    let hasPreempted = false
    let hasDisplaced = false
    const maxBackgroundTokens = this.backgroundShare.maxTokens
    for (;;) {
      for (const sequence of this.running) sequence.numMissingBlocks = this.blocks.countMissing(sequence)
      const first = this.queue.first
      const candidate = first === null ? null : this.candidateOf(first)
      const numFreeBlocks = this.blocks.pool.numFreeBlocks
      decideStep({ running: this.running, candidate, numFreeBlocks, maxBackgroundTokens, hasPreempted, hasDisplaced }, this.options, this.decision)
      if (this.decision.action === 'run') return
      if (this.decision.action === 'preempt' || this.decision.action === 'displace') {
        if (this.decision.action === 'preempt') hasPreempted = true
        else hasDisplaced = true
        this.preempt(chooseVictim(this.running))
      } else {
        assert(first !== null, 'admitting from an empty queue')
        this.admit(first, events)
      }
    }
  }

  private candidateOf(sequence: Sequence): CandidateView {
    const { numSlots, lane } = sequence
    return { numSlots, lane, countBlocks: () => this.blocks.countAdmissionBlocks(sequence) }
  }

  private admit(sequence: Sequence, events: StepEvents): void {
    const { request } = sequence
    this.queue.remove(sequence)
    this.blocks.admit(sequence)
    this.addRunning(sequence)
    if (request.hasStarted) return
    request.hasStarted = true
    request.cachedTokens = sequence.numComputedTokens
    this.counters.promptTokens += request.promptTokenIds.length
    this.counters.cachedPromptTokens += request.cachedTokens
    events.start(request)
  }

  private preempt(sequence: Sequence): void {
    this.counters.numPreemptions++
    removeSequence(this.running, sequence)
    forgetComputed(sequence, this.blocks)
    this.queue.insert(sequence)
  }

  /** Takes a sequence from wherever it is, frees what it holds, and marks it as ended. */
  private drop(sequence: Sequence): void {
    if (sequence.state === 'running') {
      removeSequence(this.running, sequence)
      this.blocks.release(sequence)
    } else if (sequence.state === 'waiting') {
      this.queue.remove(sequence)
    }
    sequence.state = 'ended'
  }
}
