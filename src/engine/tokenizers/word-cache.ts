/**
 * Remembers the token ids of short words: text repeats itself. Storage is allocated at first use, 200 KB, and once more when that is
 * full, 3.3 MB; a full cache forgets everything and starts again. Keys are compared in full, and probes are few, so that chosen
 * collisions only cost misses.
 */
import type { IdList } from './piece-list.ts'

export const MAX_CACHED_WORD_LENGTH = 32
/** Powers of two. */
const NUM_SLOTS_FIRST = 4096
const NUM_SLOTS_MAX = 65_536
const KEY_UNITS_PER_SLOT = 8
const IDS_PER_SLOT = 4
const MAX_PROBES = 8
const MAX_IDS_PER_WORD = 96

export class WordCache {
  /** (hash, key offset, key length, id offset, number of ids) per slot; key length 0 marks a free one. */
  private slots = new Int32Array(0)
  private keys = new Uint16Array(0)
  private ids = new Int32Array(0)
  private numSlots = 0
  private numUsed = 0
  private keysEnd = 0
  private idsEnd = 0
  /** Of the last failed lookUp, for the store that follows. */
  private missedHash = 0

  /** Hot: per word. Appends the ids of text[start, end) and returns true, or returns false. The word is 1 to MAX_CACHED_WORD_LENGTH units long. */
  lookUp(text: string, start: number, end: number, out: IdList): boolean {
    let hash = 0x811c9dc5
    for (let index = start; index < end; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
    hash ^= hash >>> 15
    if (this.numSlots === 0) this.allocate(NUM_SLOTS_FIRST)
    const { slots } = this
    const mask = this.numSlots - 1
    let slot = hash & mask
    for (let probe = 0; probe < MAX_PROBES; probe += 1) {
      const base = slot * 5
      const length = slots[base + 2]!
      if (length === 0) break
      if (slots[base] === hash && length === end - start && this.keyEquals(slots[base + 1]!, text, start, length)) {
        out.append(this.ids, slots[base + 3]!, slots[base + 4]!)
        return true
      }
      slot = (slot + 1) & mask
    }
    this.missedHash = hash
    return false
  }

  /** Stores the ids from index `firstId` of `source` to its end under the word whose lookUp just failed. */
  store(word: { readonly text: string; readonly start: number; readonly end: number }, source: IdList, firstId: number): void {
    const length = word.end - word.start
    const numIds = source.count - firstId
    if (numIds > MAX_IDS_PER_WORD) return
    if (this.numUsed * 8 >= this.numSlots * 5 || this.keysEnd + length > this.keys.length || this.idsEnd + numIds > this.ids.length) this.makeRoom()
    const base = this.freeSlot() * 5
    if (base < 0) return
    this.slots[base] = this.missedHash
    this.slots[base + 1] = this.keysEnd
    this.slots[base + 2] = length
    this.slots[base + 3] = this.idsEnd
    this.slots[base + 4] = numIds
    for (let index = 0; index < length; index += 1) this.keys[this.keysEnd + index] = word.text.charCodeAt(word.start + index)
    for (let index = 0; index < numIds; index += 1) this.ids[this.idsEnd + index] = source.ids[firstId + index]!
    this.keysEnd += length
    this.idsEnd += numIds
    this.numUsed += 1
  }

  private allocate(numSlots: number): void {
    this.numSlots = numSlots
    this.slots = new Int32Array(numSlots * 5)
    this.keys = new Uint16Array(numSlots * KEY_UNITS_PER_SLOT)
    this.ids = new Int32Array(numSlots * IDS_PER_SLOT)
  }

  private freeSlot(): number {
    const mask = this.numSlots - 1
    let slot = this.missedHash & mask
    for (let probe = 0; probe < MAX_PROBES; probe += 1) {
      if (this.slots[slot * 5 + 2] === 0) return slot
      slot = (slot + 1) & mask
    }
    return -1
  }

  private keyEquals(offset: number, text: string, start: number, length: number): boolean {
    for (let index = 0; index < length; index += 1) {
      if (this.keys[offset + index] !== text.charCodeAt(start + index)) return false
    }
    return true
  }

  private makeRoom(): void {
    if (this.numSlots < NUM_SLOTS_MAX) this.allocate(NUM_SLOTS_MAX)
    else this.slots.fill(0)
    this.numUsed = 0
    this.keysEnd = 0
    this.idsEnd = 0
  }
}
