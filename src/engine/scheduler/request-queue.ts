/**
 * Sequences that wait: new requests, and preempted choices on their way back. Sorted by compareSequences, so a preempted
 * sequence stands where its age puts it, before every later arrival. Only new requests count against the limit: what was
 * preempted had been accepted, and the number of running places bounds it.
 */
import { InferdError } from '#contract/errors'
import { assert } from '#base/assert'
import { compareSequences, insertSequence, removeSequence } from './sequence.ts'
import type { Sequence } from './sequence.ts'

export class RequestQueue {
  private readonly maxWaitingRequests: number
  private readonly sequences: Sequence[] = []
  private numNewRequests = 0

  constructor(maxWaitingRequests: number) {
    this.maxWaitingRequests = maxWaitingRequests
  }

  get numWaiting(): number {
    return this.sequences.length
  }

  get first(): Sequence | null {
    return this.sequences[0] ?? null
  }

  /** Throws InferdError('overloaded') when the queue is full. */
  requireRoom(): void {
    if (this.numNewRequests < this.maxWaitingRequests) return
    throw new InferdError('overloaded', `the queue holds ${this.maxWaitingRequests} requests and is full`)
  }

  /** Queues a new request's sequence after requireRoom, or a preempted one at any time. */
  insert(sequence: Sequence): void {
    if (!sequence.request.hasStarted) this.numNewRequests++
    sequence.state = 'waiting'
    insertSequence(this.sequences, sequence)
  }

  /** Takes a sequence out; its request must not have been marked as started in between. */
  remove(sequence: Sequence): void {
    if (!sequence.request.hasStarted) this.numNewRequests--
    removeSequence(this.sequences, sequence)
  }

  checkInvariants(): void {
    let numNew = 0
    let previous: Sequence | null = null
    for (const sequence of this.sequences) {
      if (!sequence.request.hasStarted) numNew++
      assert(sequence.state === 'waiting' && sequence.table === null, 'a waiting sequence holds no blocks')
      assert(previous === null || compareSequences(previous, sequence) < 0, 'the queue is out of order')
      previous = sequence
    }
    assert(numNew === this.numNewRequests && numNew <= this.maxWaitingRequests, 'the queue miscounts new requests')
  }
}
