/** What is measured: inferd or a peer, behind one face, so that all do the same work in turns. */

export interface SpeedOrder {
  readonly modelPath: string
  readonly numThreads: number
  /** Prompts whose prefill is timed, in tokens. */
  readonly prefillLengths: readonly number[]
  /** Tokens of context after which decode is timed. */
  readonly depths: readonly number[]
  /** Tokens of each timed decode. */
  readonly numOutput: number
}

/** Of one stream, tokens a second. */
export interface Speed {
  /** By length of the prompt. */
  readonly prefill: Readonly<Record<number, number>>
  /** By depth. */
  readonly decode: Readonly<Record<number, number>>
}

export interface LoadOrder {
  readonly modelPath: string
  readonly numThreads: number
  /** Token ids; all are sent at once. */
  readonly prompts: readonly (readonly number[])[]
  /** Tokens of each answer, greedy, whatever the model says. */
  readonly numOutput: number
  /** Sequences that may run at the same time. */
  readonly numSlots: number
}

export interface LoadResult {
  /** From the first request to the end of the last answer. */
  readonly totalMs: number
  readonly numPromptTokens: number
  readonly numOutputTokens: number
  /** Median over the requests, from the start of the request (of all of them, in node-llama-cpp). */
  readonly firstTokenMs: number
}

/** Every measurement is a fresh process with the model in the page cache and a few tokens of warm-up. */
export interface Subject {
  readonly name: string
  readonly version: string
  measureSpeed(order: SpeedOrder): Promise<Speed>
  measureLoad(order: LoadOrder): Promise<LoadResult>
}

export interface RunningServer extends AsyncDisposable {
  readonly baseUrl: string
  /** As requests name it. */
  readonly model: string
}

/** Longest that one process may take for one measurement. */
export const MEASUREMENT_TIMEOUT_MS = 30 * 60_000

/** Of one sequence: prompt, answer and some room, in whole pages of the peers' caches. */
export function contextPerSlot({ prompts, numOutput }: LoadOrder): number {
  return Math.ceil((Math.max(...prompts.map((prompt) => prompt.length)) + numOutput + 16) / 256) * 256
}
