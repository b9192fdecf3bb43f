/**
 * A partition of 0..n-1 whose sets are split by marking members (Valmari, Lehtinen 2008). Marking costs O(1), a split is proportional to
 * what was marked.
 */
export class RefinablePartition {
  /** Set of each element. */
  readonly setOf: Int32Array
  numSets: number
  private readonly elements: Int32Array
  private readonly places: Int32Array
  private readonly first: Int32Array
  private readonly past: Int32Array
  /** By set: how many members are marked; they lie at its front. */
  private readonly numMarked: Int32Array
  private touched: number[] = []

  /** One set of all; none when n is 0. */
  constructor(numElements: number) {
    this.elements = Int32Array.from({ length: numElements }, (_, i) => i)
    this.places = this.elements.slice()
    this.setOf = new Int32Array(numElements)
    this.first = new Int32Array(numElements + 1)
    this.past = new Int32Array(numElements + 1)
    this.numMarked = new Int32Array(numElements + 1)
    this.numSets = numElements === 0 ? 0 : 1
    this.past[0] = numElements
  }

  /** A set for each label; labels are small numbers from 0. */
  static byLabel(labels: readonly number[]): RefinablePartition {
    const partition = new RefinablePartition(labels.length)
    sortByLabel(partition.elements, labels)
    partition.numSets = 0
    for (const [place, element] of partition.elements.entries()) {
      partition.places[element] = place
      const isNew = place === 0 || labels[partition.elements[place - 1]!] !== labels[element]
      if (isNew) partition.first[partition.numSets++] = place
      partition.setOf[element] = partition.numSets - 1
      partition.past[partition.numSets - 1] = place + 1
    }
    return partition
  }

  /** A copy: marks move members about. */
  members(set: number): Int32Array {
    return this.elements.slice(this.first[set]!, this.past[set]!)
  }

  mark(element: number): void {
    const set = this.setOf[element]!
    const from = this.places[element]!
    const to = this.first[set]! + this.numMarked[set]!
    if (from < to) return
    const other = this.elements[to]!
    this.elements[from] = other
    this.places[other] = from
    this.elements[to] = element
    this.places[element] = to
    if (this.numMarked[set]! === 0) this.touched.push(set)
    this.numMarked[set]! += 1
  }

  /** Splits every set with marks into the marked and the others; the smaller part becomes the new set. */
  split(): void {
    for (const set of this.touched) {
      const middle = this.first[set]! + this.numMarked[set]!
      this.numMarked[set] = 0
      if (middle === this.past[set]!) continue
      const added = this.numSets++
      if (middle - this.first[set]! <= this.past[set]! - middle) {
        this.first[added] = this.first[set]!
        this.past[added] = middle
        this.first[set] = middle
      } else {
        this.first[added] = middle
        this.past[added] = this.past[set]!
        this.past[set] = middle
      }
      for (let place = this.first[added]!; place < this.past[added]!; place++) this.setOf[this.elements[place]!] = added
    }
    this.touched = []
  }
}

/** Counting sort: `elements` holds 0 to n-1. */
function sortByLabel(elements: Int32Array, labels: readonly number[]): void {
  let numLabels = 0
  for (const label of labels) numLabels = Math.max(numLabels, label + 1)
  const next = new Int32Array(numLabels + 1)
  for (const label of labels) next[label + 1]! += 1
  for (let label = 0; label < numLabels; label++) next[label + 1]! += next[label]!
  for (let element = 0; element < labels.length; element++) elements[next[labels[element]!]!++] = element
}
