/** A model that was loaded before starts from its packed weights, and says the same. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { systemClock, type Clock } from '#base/clock'
import { greedySteps, smallEngine } from './greedy.ts'

const MODEL = 'models/inferd-chat/inferd-chat-Q4_K_M.gguf'
const PROMPT = [1, 20, 300, 41]

/** Sleeps for nothing. */
const HASTY_CLOCK: Clock = { ...systemClock, sleep: () => Promise.resolve() }

test('a second later its weights are kept, and the next start reads none', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-packed-start-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const packedWeights = { folder: path.join(folder, 'packed'), minBytes: 1, maxBytes: 2 ** 30 }
  const first = await smallEngine(MODEL, { packedWeights }, { clock: HASTY_CLOCK, onKeepFailure: (error) => expect.unreachable(String(error)) })
  const want = await greedySteps(first, PROMPT)
  const names = (): string[] => (existsSync(packedWeights.folder) ? readdirSync(packedWeights.folder) : [])
  await vi.waitFor(() => expect(names().filter((name) => name.endsWith('.packed'))).toHaveLength(1), { timeout: 20_000 })
  await first.close()
  const onProgress = vi.fn<(loadedBytes: number, totalBytes: number) => void>()
  const second = await smallEngine(MODEL, { packedWeights }, { onProgress })
  expect(await greedySteps(second, PROMPT)).toEqual(want)
  expect(onProgress).not.toHaveBeenCalled()
  await second.close()
})

test('a model whose weights cannot be kept is served all the same', async () => {
  const onKeepFailure = vi.fn<(error: unknown) => void>()
  const packedWeights = { folder: '/dev/null/packed', minBytes: 1, maxBytes: 2 ** 30 }
  const engine = await smallEngine(MODEL, { packedWeights }, { clock: HASTY_CLOCK, onKeepFailure })
  await vi.waitFor(() => expect(onKeepFailure).toHaveBeenCalledOnce(), { timeout: 20_000 })
  expect((await greedySteps(engine, PROMPT)).length).toBeGreaterThan(0)
  await engine.close()
})
