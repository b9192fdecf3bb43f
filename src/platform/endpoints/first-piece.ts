/** Events of one generation that tell when the first piece of its answer passes. */
import type { GenerateEvent } from '#contract/generate'

const PIECES: ReadonlySet<GenerateEvent['type']> = new Set(['text-delta', 'reasoning-delta', 'tool-call-start'])

export function firstPieceTold(events: AsyncIterator<GenerateEvent>, onFirstPiece: () => void): AsyncIterator<GenerateEvent> {
  let isTold = false
  return {
    next: async () => {
      const result = await events.next()
      if (isTold || result.done === true || !PIECES.has(result.value.type)) return result
      isTold = true
      onFirstPiece()
      return result
    },
    return: async () => (await events.return?.()) ?? { value: undefined, done: true },
  }
}
