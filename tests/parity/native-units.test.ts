/**
 * The C++ unit tests: under sanitizers, with kernels against guard pages on every instruction set of this machine and the pool
 * under the thread sanitizer, and compiled for ARM, under an emulator that has NEON's dot product and under one that has not.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { hasCommand } from '../conformance/aws-commands.ts'

const TEST_FOLDER = fileURLToPath(new URL('../../native/test', import.meta.url))
const ARM_PROGRAM = fileURLToPath(new URL('../../native/build/test/aarch64/plain/run', import.meta.url))
/** Debian's names; the test that needs them says by its name which are missing. */
const ARM_TOOLS = { 'aarch64-linux-gnu-g++': 'g++-aarch64-linux-gnu', 'qemu-aarch64': 'qemu-user' }
const MISSING_TOOLS = Object.entries(ARM_TOOLS).flatMap(([command, debianPackage]) => (hasCommand(command, '--version') ? [] : [debianPackage]))

interface Run {
  readonly code: unknown
  /** Its end. */
  readonly output: string
}

async function run(command: string, ...args: readonly string[]): Promise<Run> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-4000)))
  const [code] = await once(child, 'close')
  return { code, output }
}

function make(...args: readonly string[]): Promise<Run> {
  return run('make', '-C', TEST_FOLDER, `-j${availableParallelism()}`, ...args)
}

/** Which instruction sets' kernels were run, and a hash of all that they computed. */
function kernelBits(output: string): Readonly<Record<string, string>> {
  return Object.fromEntries([...output.matchAll(/^kernels (\w+) ok (\w+)$/gm)].map(([, isa, bits]) => [isa!, bits!]))
}

let bitsHere: Readonly<Record<string, string>> = {}

test.each(['asan', 'tsan'])('the native unit tests pass under %s', { timeout: 600_000 }, async (target) => {
  const { code, output } = await make(target)
  expect(code, output).toBe(0)
  expect(output).toContain('ok\n')
  if (target === 'asan') bitsHere = kernelBits(output)
})

const LACKING = MISSING_TOOLS.length === 0 ? '' : ` (this machine has no ${MISSING_TOOLS.join(', no ')})`

test.runIf(MISSING_TOOLS.length === 0)(
  `the native unit tests pass on ARM, where NEON gives bit for bit what AVX2 gives${LACKING}`,
  { timeout: 600_000 },
  async () => {
    const compiled = await make('CXX=aarch64-linux-gnu-g++', 'plain')
    expect(compiled.code, compiled.output).toBe(0)
    const { code, output } = await run('qemu-aarch64', ARM_PROGRAM, 'kernels', 'sampling', 'pool', 'executor', 'grammar')
    expect(code, output).toBe(0)
    const bits = kernelBits(output)
    expect(Object.keys(bits)).toEqual(['scalar', 'neon'])
    if (bitsHere['scalar'] !== undefined) expect(bits['scalar']).toBe(bitsHere['scalar'])
    if (bitsHere['avx2'] !== undefined) expect(bits['neon']).toBe(bitsHere['avx2'])

    const withoutDotProduct = await run('qemu-aarch64', '-cpu', 'cortex-a53', ARM_PROGRAM, 'kernels')
    expect(withoutDotProduct.code, withoutDotProduct.output).toBe(0)
    expect(Object.keys(kernelBits(withoutDotProduct.output))).toEqual(['scalar'])
  },
)
