/** A stream of bytes as parts of equal size, the last one shorter: what the parts of a large upload are. */
import { objectTooLarge } from './incoming-file.ts'

export interface PartSizes {
  readonly partBytes: number
  readonly maxBytes: number
}

/** At least one part, which may be empty. Throws payload_too_large as soon as there is too much. */
export async function* partBuffers(chunks: AsyncIterable<Uint8Array>, { partBytes, maxBytes }: PartSizes): AsyncGenerator<Buffer, void> {
  let pieces: Uint8Array[] = []
  let numHeld = 0
  let numBytes = 0
  let numParts = 0
  for await (const chunk of chunks) {
    numBytes += chunk.length
    if (numBytes > maxBytes) throw objectTooLarge(maxBytes)
    for (let start = 0; start < chunk.length;) {
      const piece = chunk.subarray(start, start + partBytes - numHeld)
      pieces.push(piece)
      numHeld += piece.length
      start += piece.length
      if (numHeld < partBytes) continue
      yield Buffer.concat(pieces)
      numParts++
      pieces = []
      numHeld = 0
    }
  }
  if (numHeld > 0 || numParts === 0) yield Buffer.concat(pieces)
}
