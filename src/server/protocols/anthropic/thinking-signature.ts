/**
 * The `signature` of a thinking block: a digest by which the server sees that a block came back unaltered. It says nothing about who
 * wrote it, as these models' thoughts are no secret.
 */
import { createHash } from 'node:crypto'

const PREFIX = 'inferd-thinking-1:'

export function signThinking(text: string): string {
  return `${PREFIX}${createHash('sha256').update(PREFIX).update(text).digest('base64')}`
}
