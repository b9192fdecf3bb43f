/** The C++ unit tests under sanitizers: kernels against guard pages on every instruction set, the pool under the thread sanitizer. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const TEST_FOLDER = fileURLToPath(new URL('../../native/test', import.meta.url))

/** The exit code and the end of the output of one make target. */
async function make(target: string): Promise<{ readonly code: unknown; readonly output: string }> {
  const child = spawn('make', ['-C', TEST_FOLDER, `-j${availableParallelism()}`, target], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-4000)))
  const [code] = await once(child, 'close')
  return { code, output }
}

test.each(['asan', 'tsan'])('the native unit tests pass under %s', { timeout: 600_000 }, async (target) => {
  const { code, output } = await make(target)
  expect(code, output).toBe(0)
  expect(output).toContain('ok\n')
})
