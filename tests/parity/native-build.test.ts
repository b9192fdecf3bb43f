/** What the compiled kernels may not contain: a weak symbol of an instruction-set file could be linked into code that runs everywhere. */
import { execFileSync } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { INSTRUCTION_SETS } from '#engine/kernels/native/addon'

const OBJECTS = fileURLToPath(new URL('../../native/build/Release/obj.target', import.meta.url))

test('object files of an instruction set define no weak symbol and need nothing of the C++ library', () => {
  const objects = INSTRUCTION_SETS.flatMap((isa) => globSync(`${OBJECTS}/kernels_${isa}/**/*.o`))
  expect(objects.length > 0 || !existsSync(OBJECTS)).toBe(true)
  const symbols = objects.flatMap((object) =>
    execFileSync('nm', ['-C', object], { encoding: 'utf8' })
      .split('\n')
      .map((line) => line.slice(17)),
  )
  expect(symbols.filter((symbol) => /^[WVu] /.test(symbol))).toEqual([])
  expect(symbols.filter((symbol) => /^[UT] std::/.test(symbol))).toEqual([])
})
