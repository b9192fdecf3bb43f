/** Keeps a stream's state record between the steps of its pure function. */
import type { GenerateEvent } from '#contract/generate'

export function holdState<State, Bytes>(
  start: State,
  step: (state: State, event: GenerateEvent) => readonly [State, Bytes],
): (event: GenerateEvent) => Bytes {
  let state = start
  return (event) => {
    const [next, frames] = step(state, event)
    state = next
    return frames
  }
}
