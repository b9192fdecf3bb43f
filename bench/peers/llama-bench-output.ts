/** What `llama-bench -o json` prints, in mainline llama.cpp and in ik_llama.cpp, which name a decode after a context in two ways. */
import type { Speed } from './subject.ts'

/** One test; the fields that are read here. */
interface Test {
  readonly n_prompt: number
  readonly n_gen: number
  /** Of mainline: tokens before the timed ones. */
  readonly n_depth?: number
  /** Of ik: `pp512`, `tg64`, or `tg64@pp512`, where only the 64 tokens after the 512 are timed. */
  readonly test?: string
  /** Tokens a second. */
  readonly avg_ts: number
}

/** Throws on a test that is neither a prefill from the start nor a decode. */
export function parseLlamaBench(output: string): Speed {
  const prefill: Record<number, number> = {}
  const decode: Record<number, number> = {}
  for (const test of testsOf(output)) {
    const depth = depthOf(test)
    if (!(test.avg_ts > 0)) throw new Error(`llama-bench timed nothing: ${JSON.stringify(test).slice(0, 200)}`)
    if (depth === null) prefill[test.n_prompt] = test.avg_ts
    else decode[depth] = test.avg_ts
  }
  return { prefill, decode }
}

/** Context of a decode; null for a prefill from the start. */
function depthOf(test: Test): number | null {
  if (test.n_gen === 0 && test.n_prompt > 0 && !test.n_depth) return null
  if (test.n_gen > 0 && test.n_prompt === 0 && test.n_depth !== undefined) return test.n_depth
  if (test.n_gen > 0 && /^tg\d+@pp\d+$/.test(test.test ?? '')) return test.n_prompt
  throw new Error(`a test of llama-bench that was not asked for: ${JSON.stringify(test).slice(0, 200)}`)
}

/** The list may stand behind lines of the loader. */
function testsOf(output: string): readonly Test[] {
  const start = /^\[/m.exec(output)
  if (start === null) throw new Error(`llama-bench printed no list: ${output.slice(0, 200)}`)
  return JSON.parse(output.slice(start.index)) as Test[]
}
