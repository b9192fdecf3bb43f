/**
 * The `signature` of a thinking block: a digest by which the server sees that a block came back unaltered. It says nothing about who
 * wrote it, as these models' thoughts are no secret.
 */
import { createHash, type Hash } from 'node:crypto'

const PREFIX = 'inferd-thinking-1:'

/** Fed piece by piece while the thoughts are streamed. */
export function startSignature(): Hash {
  return createHash('sha256').update(PREFIX)
}

export function finishSignature(hash: Hash): string {
  return `${PREFIX}${hash.digest('base64')}`
}

export function signThinking(text: string): string {
  return finishSignature(startSignature().update(text))
}
