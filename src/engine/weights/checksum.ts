/**
 * Two digests of a model on disk. The checksum is what `<file>.sha256` promises of the whole content; the identity is a
 * cheap name for caches: headers, sizes and samples of the data, so that two fine-tunes of one shape differ too.
 */
import { createHash, type Hash } from 'node:crypto'
import { InferdError } from '#contract/errors'
import { readTextFile } from './safetensors/json-file.ts'
import type { ModelFile } from './model-file.ts'

const MAX_CHECKSUM_FILE_BYTES = 64 * 1024
const SAMPLE_BYTES = 4096
const NUM_SAMPLES = 32
const HASH_PIECE_BYTES = 1024 * 1024

/** Compares each file that has a `.sha256` beside it with its promise. Throws InferdError('invalid_model_file') with both digests. */
export async function verifyChecksums(files: readonly ModelFile[], signal?: AbortSignal): Promise<void> {
  for (const file of files) {
    const promise = await readTextFile(`${file.path}.sha256`, MAX_CHECKSUM_FILE_BYTES)
    if (promise === null) continue
    const expected = parseChecksum(promise)
    if (expected === null) throw new InferdError('invalid_model_file', `${file.name}.sha256: does not begin with 64 hexadecimal digits`)
    const actual = await file.sha256(signal)
    if (actual !== expected) {
      throw new InferdError('invalid_model_file', `${file.name}: content is not what its .sha256 promises: expected ${expected}, got ${actual}`)
    }
  }
}

/** The digest of a line as `sha256sum` writes it (digest, blanks, name) or of a bare digest; null for anything else. */
function parseChecksum(text: string): string | null {
  const match = /^\uFEFF?([0-9a-fA-F]{64})(?:\s|$)/.exec(text)
  return match === null ? null : match[1]!.toLowerCase()
}

/** SHA-256, in hexadecimal, over each file's size, header and samples of its data, and over `extraText`. */
export function modelIdentity({
  files,
  headerBytes,
  extraText,
}: {
  readonly files: readonly ModelFile[]
  readonly headerBytes: readonly number[]
  readonly extraText: string
}): string {
  const hash = createHash('sha256')
  hash.update(`inferd-identity-1\n${files.length}\n${extraText.length}\n${extraText}`)
  for (const [index, file] of files.entries()) {
    hash.update(`\n${file.byteLength} ${headerBytes[index]}\n`)
    hashRange(hash, file, { start: 0, end: headerBytes[index]! })
    const dataBytes = file.byteLength - headerBytes[index]!
    for (let sample = 0; sample < NUM_SAMPLES; sample++) {
      const start = headerBytes[index]! + Math.floor((dataBytes / NUM_SAMPLES) * sample)
      hashRange(hash, file, { start, end: Math.min(start + SAMPLE_BYTES, file.byteLength) })
    }
  }
  return hash.digest('hex')
}

function hashRange(hash: Hash, file: ModelFile, { start, end }: { readonly start: number; readonly end: number }): void {
  const piece = new Uint8Array(Math.min(HASH_PIECE_BYTES, end - start))
  for (let at = start; at < end; at += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, end - at))
    file.readInto(part, at)
    hash.update(part)
  }
}
