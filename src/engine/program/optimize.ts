/**
 * The passes in order. Each is a pure function that keeps the program valid and its results the same but for f32 rounding.
 */
import { dropDeadValues } from './passes/drop-dead-values.ts'
import { foldResiduals } from './passes/fold-residuals.ts'
import { mergeLinears } from './passes/merge-linears.ts'
import { selectRowsEarly } from './passes/select-rows-early.ts'
import type { Program } from './program.ts'
import { verifyProgram } from './verify.ts'

export const PASSES: readonly ((program: Program) => Program)[] = [foldResiduals, mergeLinears, selectRowsEarly, dropDeadValues]

/** The program that executors bind. Verified after every pass. */
export function optimize(program: Program): Program {
  let optimized = program
  for (const pass of PASSES) {
    optimized = pass(optimized)
    verifyProgram(optimized)
  }
  return optimized
}
