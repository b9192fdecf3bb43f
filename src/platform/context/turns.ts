/**
 * A conversation as turns, and the order in which they are left out. A turn is what the user says and everything up to what the user says
 * next, so that a call of a tool and its result are always in one turn. System messages belong to none, the last turn is never left out.
 */
import type { TruncationStrategy } from '#contract/call'
import type { ChatMessage } from '#contract/generate'

/** Indexes of the messages of one turn, ascending. */
export type Turn = readonly number[]

/** Each turn that may go, the first to go first. */
export function dropOrder(messages: readonly ChatMessage[], strategy: TruncationStrategy): readonly Turn[] {
  const droppable = splitTurns(messages).slice(0, -1)
  switch (strategy) {
    case 'none':
      return []
    case 'oldest-turns':
      return droppable
    case 'middle-out':
      return fromMiddle(droppable)
  }
}

export function withoutTurns(messages: readonly ChatMessage[], turns: readonly Turn[]): readonly ChatMessage[] {
  const dropped = new Set(turns.flat())
  return messages.filter((_, index) => !dropped.has(index))
}

/** What an assistant says before any user is a turn of its own; what several users say one after the other is the head of one. */
function splitTurns(messages: readonly ChatMessage[]): readonly Turn[] {
  const turns: number[][] = []
  let lastRole: ChatMessage['role'] | null = null
  for (const [index, { role }] of messages.entries()) {
    if (role === 'system') continue
    const isHead = role === 'user' && lastRole !== 'user'
    if (isHead || turns.length === 0) turns.push([])
    turns.at(-1)?.push(index)
    lastRole = role
  }
  return turns
}

/** The hole grows around the middle of the whole conversation, the last turn counted; of two as near the older goes first. */
function fromMiddle(droppable: readonly Turn[]): readonly Turn[] {
  const middle = droppable.length / 2
  const distance = (index: number): number => Math.abs(index - middle)
  return droppable
    .map((turn, index) => ({ turn, index }))
    .toSorted((a, b) => distance(a.index) - distance(b.index) || a.index - b.index)
    .map(({ turn }) => turn)
}
