/** Weights kept packed: who maps them computes the same bits, and whatever is wrong with the folder costs time, never an answer. */
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeClock } from '#base/fake-clock'
import type { BindOptions, Executor } from '#engine/kernels/kernels'
import { nativeKernels } from '#engine/kernels/native/native-kernels'
import type { TensorFile } from '#engine/weights/tensor-file'
import { CASE_LIMITS, F32_CACHE, traceCase, type CaseTrace } from './case-runs.ts'
import { plainModel } from './model-cases.ts'

const MODEL = plainModel('q4_0')
const SECOND_MS = 1000
let folder = ''
let clock = new FakeClock()

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'inferd-packed-'))
  clock = new FakeClock()
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

interface Binding {
  readonly executor: Executor
  /** Tensors that were read from the model's file. */
  readonly numReads: number
}

/** `at` is where the model's file is: its time is what a change of it shows. */
async function bind(place: Partial<NonNullable<BindOptions['packedWeights']>> = {}, paths: readonly string[] = []): Promise<Binding> {
  let numReads = 0
  const tensors: TensorFile = {
    format: 'gguf',
    paths,
    tensors: MODEL.tensors.tensors,
    close: () => Promise.resolve(),
    readTensor: (info, range) => {
      numReads++
      return MODEL.tensors.readTensor(info, range)
    },
  }
  const packedWeights = { folder: path.join(folder, 'packed'), minBytes: 1, maxBytes: 2 ** 30, modelIdentity: 'a', clock, ...place }
  const kvCache = { numBlocks: 96, ...F32_CACHE }
  const executor = await nativeKernels.bind({ program: MODEL.program, tensors, kvCache, limits: CASE_LIMITS, numThreads: 2, packedWeights })
  return { executor, numReads }
}

async function keep(place: Partial<NonNullable<BindOptions['packedWeights']>> = {}, paths: readonly string[] = []): Promise<void> {
  const { executor } = await bind(place, paths)
  await executor.keepWeights()
  await executor.close()
}

async function trace({ executor }: Binding): Promise<CaseTrace> {
  const found = await traceCase(executor, MODEL.program, 3)
  await executor.close()
  return found
}

function keptFiles(): string[] {
  return readdirSync(path.join(folder, 'packed')).map((name) => path.join(folder, 'packed', name))
}

test('the second start maps what the first one kept, reads no weight and computes the same bits', async () => {
  const packed = await bind()
  expect(packed.numReads).toBeGreaterThan(10)
  await packed.executor.keepWeights()
  const mapped = await bind()
  expect(mapped.numReads).toBe(0)
  expect(mapped.executor.memory).toEqual(packed.executor.memory)
  expect(await trace(mapped)).toEqual(await trace(packed))
  expect(keptFiles()).toHaveLength(1)
  expect(statSync(keptFiles()[0]!).mode & 0o777).toBe(0o600)
})

test('steps go on while weights are kept, and closing meanwhile leaves no half of a file', async () => {
  const { executor } = await bind()
  const keeping = executor.keepWeights()
  await traceCase(executor, MODEL.program, 3)
  await executor.close()
  await keeping
  for (const file of keptFiles()) expect([path.extname(file), statSync(file).size]).toEqual(['.packed', executor.memory.weightsBytes])
  await executor.keepWeights()
})

test('another model, another program and a file that was written to since are packed anew', async () => {
  const file = path.join(folder, 'model.gguf')
  writeFileSync(file, 'weights')
  await keep({}, [file])
  const numReads = async (place: object, paths: string[]): Promise<number> => {
    const bound = await bind(place, paths)
    await bound.executor.close()
    return bound.numReads
  }
  expect(await numReads({}, [file])).toBe(0)
  expect(await numReads({ modelIdentity: 'b' }, [file])).toBeGreaterThan(0)
  utimesSync(file, 5, 5)
  expect(await numReads({}, [file])).toBeGreaterThan(0)
})

test('a kept file of another length is not mapped, and is replaced', async () => {
  await keep()
  const [file] = keptFiles()
  truncateSync(file!, 4096)
  const bound = await bind()
  expect(bound.numReads).toBeGreaterThan(0)
  await bound.executor.keepWeights()
  await bound.executor.close()
  expect(statSync(file!).size).toBe(bound.executor.memory.weightsBytes)
  const again = await bind()
  expect(again.numReads).toBe(0)
  await again.executor.close()
})

test('the place holds no more than it may: what was not used for longest goes, and what is too small or too large is not kept', async () => {
  const { executor } = await bind({ minBytes: 2 ** 30 })
  const bytes = executor.memory.weightsBytes
  await executor.keepWeights()
  await executor.close()
  await keep({ maxBytes: bytes - 1 })
  expect(readdirSync(folder)).toEqual([])
  const maxBytes = 2 * bytes
  await keep({ modelIdentity: 'first', maxBytes })
  const [first] = keptFiles()
  utimesSync(first!, clock.wallMs() / 1000, clock.wallMs() / 1000)
  await clock.advance(SECOND_MS)
  await keep({ modelIdentity: 'second', maxBytes })
  const second = keptFiles().find((file) => file !== first)!
  utimesSync(second, clock.wallMs() / 1000, clock.wallMs() / 1000)
  await clock.advance(SECOND_MS)
  // Used again: now the second one is the older.
  await keep({ modelIdentity: 'first', maxBytes })
  await keep({ modelIdentity: 'third', maxBytes })
  expect(keptFiles()).toHaveLength(2)
  expect(keptFiles()).toContain(first)
  expect(keptFiles()).not.toContain(second)
})

test('what a process left unfinished is removed when it is old', async () => {
  await keep()
  const [old, young] = ['old', 'young'].map((name) => path.join(folder, 'packed', `x.packed.${name}.unfinished`))
  for (const file of [old!, young!]) writeFileSync(file, 'half')
  const nowS = clock.wallMs() / 1000
  utimesSync(old!, nowS - 4000, nowS - 4000)
  utimesSync(young!, nowS - 10, nowS - 10)
  await keep({ modelIdentity: 'b' })
  expect(keptFiles()).not.toContain(old)
  expect(keptFiles()).toContain(young)
})

test('a folder that cannot be made fails the keeping, not the model', async () => {
  writeFileSync(path.join(folder, 'packed'), 'in the way')
  const bound = await bind()
  await expect(bound.executor.keepWeights()).rejects.toThrow(/EEXIST|ENOTDIR/)
  expect((await trace(bound)).logits.length).toBeGreaterThan(0)
})
