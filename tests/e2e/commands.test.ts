/** The commands as a user types them: what they print where, and with which code they end. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { runInferd } from './run-inferd.ts'

const MODEL = 'models/inferd-chat/inferd-chat-Q8_0.gguf'
const CAPITAL = 'What is the capital of France?'
const folder = mkdtempSync(path.join(tmpdir(), 'inferd-commands-'))

afterAll(() => rmSync(folder, { recursive: true }))

describe('run', () => {
  test('writes the answer to standard output and its speed to standard error', async () => {
    const result = await runInferd(['run', MODEL, CAPITAL])
    expect(result).toMatchObject({ exitCode: 0, stdout: 'The capital of France is Paris.\n' })
    expect(result.stderr).toMatch(/^15 prompt tokens in \d+ ms \(\d+ tokens\/s\), 9 tokens at [\d.]+ tokens\/s\n$/)
  })

  test('streams: the beginning of a story is there long before its end', async () => {
    const pieces: string[] = []
    // The reference takes seconds for a story, whatever else the machine does.
    const args = ['run', MODEL, 'Tell me a short story about a fox.', '--kernels', 'reference', '--max-tokens', '40']
    await runInferd(args, { onOutput: (piece) => pieces.push(piece) })
    expect(pieces.length).toBeGreaterThan(1)
  })

  test('reads the prompt from standard input', async () => {
    expect(await runInferd(['run', MODEL], { input: `${CAPITAL}\n` })).toMatchObject({ exitCode: 0, stdout: 'The capital of France is Paris.\n' })
  })

  test('stops at --max-tokens', async () => {
    expect(await runInferd(['run', MODEL, CAPITAL, '--max-tokens', '2'])).toMatchObject({ exitCode: 0, stdout: 'The capital\n' })
  })

  test('an interrupt ends the answer where it is, with code 130', async () => {
    const slow = ['run', MODEL, 'Tell me a short story about a fox.', '--kernels', 'reference']
    let isInterrupted = false
    const onOutput = (_piece: string, child: { kill(signal: 'SIGINT'): void }): void => {
      if (!isInterrupted) child.kill('SIGINT')
      isInterrupted = true
    }
    const { exitCode, stdout, stderr } = await runInferd(slow, { onOutput })
    expect([exitCode, stderr]).toEqual([130, 'inferd: stopped by SIGINT\n'])
    // A whole answer ends its line.
    expect(stdout.endsWith('\n')).toBe(false)
  })

  test('gives one sentence and code 1 for what cannot be done', async () => {
    const refusals: readonly (readonly [readonly string[], string])[] = [
      [['run', '/nowhere/model.gguf', 'x'], 'inferd: model: there is no file or folder /nowhere/model.gguf\n'],
      [['run', MODEL], 'inferd: give a prompt: inferd run MODEL "prompt", or pipe one in\n'],
      [['run', MODEL, ''], 'inferd: the prompt is empty\n'],
      [['run', MODEL, 'x', '--temperature', '3'], "inferd: --temperature must be a number from 0 to 2, not '3'\n"],
      [['run', MODEL, 'x', '--ctx', '4096'], "inferd: --ctx 4096 is longer than the model's context of 2048 tokens\n"],
    ]
    for (const [args, stderr] of refusals) expect(await runInferd(args)).toEqual({ exitCode: 1, stdout: '', stderr })
  })
})

describe('inspect', () => {
  test('shows format, totals, metadata and every tensor', async () => {
    const { exitCode, stdout } = await runInferd(['inspect', MODEL])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^gguf v3, architecture llama\n {2}inferd-chat-Q8_0\.gguf {2}\d/)
    expect(stdout).toMatch(/\n\d+ tensors, [\d.]+ M parameters, [\d.]+ MiB, [\d.]+ bits per weight\n/)
    expect(stdout).toMatch(/\n {2}llama\.context_length +number +2048\n/)
    expect(stdout).toMatch(/\n {2}token_embd\.weight +q8_0 +2048 x \d+ /)
  })

  test('gives the same as JSON', async () => {
    const { exitCode, stdout } = await runInferd(['inspect', MODEL, '--json'])
    expect(exitCode).toBe(0)
    const inspection = JSON.parse(stdout) as { tensors: { name: string }[]; totals: { numTensors: number } }
    expect(inspection).toMatchObject({ format: 'gguf', version: 3, architecture: 'llama' })
    expect(inspection.tensors.length).toBe(inspection.totals.numTensors)
  })

  test('says what is wrong with a file that is no model', async () => {
    expect(await runInferd(['inspect', 'package.json'])).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringMatching(/^inferd: package\.json: .+\n$/) as string,
    })
    expect(await runInferd(['inspect', '/nowhere'])).toMatchObject({ exitCode: 1, stderr: 'inferd: nowhere: cannot be opened (ENOENT)\n' })
  })
})

describe('quantize', () => {
  test('writes a smaller model that can be inspected', async () => {
    const target = path.join(folder, 'small.gguf')
    const result = await runInferd(['quantize', 'tests/fixtures/weights/source.gguf', target, 'Q4_0'])
    expect(result.exitCode).toBe(0)
    expect(result.stdout).toMatch(/small\.gguf: [\d.]+ KiB -> [\d.]+ KiB\n$/)
    expect(result.stderr).toContain('token_embd.weight  f32 -> ')
    expect((await runInferd(['inspect', target])).stdout).toContain('q4_0')
  })

  test('names the schemes when given another, and a missing source', async () => {
    const target = path.join(folder, 'never.gguf')
    expect(await runInferd(['quantize', 'tests/fixtures/weights/source.gguf', target, 'q9'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^inferd: scheme must be one of .*q4_k_m.*, not 'q9'\n$/) as string,
    })
    expect(await runInferd(['quantize', '/nowhere.gguf', target, 'q4_0'])).toMatchObject({
      exitCode: 1,
      stderr: 'inferd: nowhere.gguf: cannot be opened (ENOENT)\n',
    })
  })
})

describe('serve', () => {
  test('gives one sentence and code 1 when it cannot start', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => holder.once('listening', resolve))
    const { port } = holder.address() as { port: number }
    const refusals: readonly (readonly [readonly string[], string])[] = [
      [['--port', String(port)], `cannot listen on 127.0.0.1 port ${port}: the port is in use`],
      [['--host', '0.0.0.0'], '--host 0.0.0.0: an address that others can reach needs a key first: inferd keys create'],
      [['--host', '0.0.0.0', '--auth', 'off'], '--host 0.0.0.0: --auth off is for loopback addresses only'],
      [['--port', '65536'], "--port must be a whole number from 0 to 65535, not '65536'"],
      [['--port', '0', '--model', '/nowhere/m.gguf'], '--model: there is no file or folder /nowhere/m.gguf'],
      [['--port', '0', '--model', `a=${MODEL}`, `a=${MODEL}`], "--model: two models have the name 'a'; name them: --model NAME=PATH"],
    ]
    for (const [args, sentence] of refusals)
      expect(await runInferd(['serve', ...args])).toEqual({ exitCode: 1, stdout: '', stderr: `inferd: ${sentence}\n` })
    holder.close()
  })

  test('an unknown option is an error that points at the help', async () => {
    const { exitCode, stderr } = await runInferd(['serve', '--fast'])
    expect(exitCode).toBe(1)
    expect(stderr).toContain("unknown option '--fast'")
    expect(stderr).toContain('inferd COMMAND --help')
  })
})
