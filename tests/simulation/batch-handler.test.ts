/** A batch as a job: checked whole, run bounded, kept record by record, published once, whatever comes between. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FakeClock, settle } from '#base/fake-clock'
import { SeededRandom } from '#base/random'
import type { BatchResult } from '#contract/batch'
import { type ErrorRecord, InferdError } from '#contract/errors'
import type { Job, RunWireCall, WireAnswer } from '#contract/job'
import { BatchHandler } from '#platform/batches/batch-handler'
import { batchJob, FakeLease, FakeShelf, WORD_FORMAT } from './fake-batch.ts'

const answer = (status: number, headers: Record<string, string> = {}): WireAnswer => ({ status, headers, body: Buffer.from('{}') })
const words = (count: number): string[] => Array.from({ length: count }, (_, index) => `w${index}`)

function scene({ input, runCall = async () => answer(200) }: { readonly input: string | null; readonly runCall?: RunWireCall }) {
  const clock = new FakeClock()
  const files = new FakeShelf(input)
  const calls: string[] = []
  const state = { numRunning: 0, maxRunning: 0 }
  const counting: RunWireCall = async (call, signal) => {
    calls.push(Buffer.from(call.body).toString())
    state.maxRunning = Math.max(state.maxRunning, ++state.numRunning)
    await settle()
    try {
      return await runCall(call, signal)
    } finally {
      state.numRunning--
    }
  }
  const handler = new BatchHandler({
    formats: [WORD_FORMAT],
    caller: { runCall: counting, clock, random: new SeededRandom(1), maxRecordMs: 500_000 },
    input: { files, objects: null, maxLineBytes: 100 },
    limits: { maxRecords: 4, maxBytes: 1000 },
    maxRunning: 1,
    maxRunningOfTeam: 1,
  })
  return { clock, files, calls, state, handler }
}

const job = (change: Partial<Job> = {}): Job => batchJob('file-in', change)
/** Until everything waits for the clock or is done. */
async function idle(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await settle()
}
const resultIn = (result: unknown): BatchResult => result as BatchResult

test('records run a bounded number at a time; the output is in the order of the input, and the counts add up', async () => {
  const runCall: RunWireCall = async ({ body }) => answer(Buffer.from(body).toString() === 'w3' ? 400 : 200)
  const { handler, files, state, calls } = scene({ input: [...words(20), 'no'].join('\n'), runCall })
  const lease = new FakeLease()
  const ending = await handler.run(job(), lease)
  expect(ending).toMatchObject({ state: 'succeeded', counts: { total: 21, succeeded: 19, failed: 2 }, error: null })
  const { outputFileId, errorFileId, usage } = resultIn(ending.result)
  const good = words(20).filter((word) => word !== 'w3')
  expect(files.textOf(outputFileId)).toBe(good.map((word) => `${word}: 200\n`).join(''))
  expect(files.textOf(errorFileId)).toBe('w3: 400\nno: refused\n')
  expect(usage).toMatchObject({ inputTokens: 19, outputTokens: 38 })
  expect([calls.length, state.maxRunning]).toEqual([20, 4])
  expect(lease.notes.at(-1)).toEqual({ total: 21, succeeded: 19, failed: 2 })
})

test('a spoilt input fails the batch before anything runs, each fault with its line', async () => {
  const lines = words(10_000)
    .map((word, index) => (index === 6 ? 'bad' : word))
    .slice(0, 900)
  const { handler, calls, files } = scene({ input: [...lines, 'w1'].join('\r\n') })
  const ending = await handler.run(job(), new FakeLease())
  expect(ending).toMatchObject({ state: 'failed', counts: { total: 0, succeeded: 0, failed: 0 } })
  expect(resultIn(ending.result).faults.map(({ code, line }) => [code, line])).toEqual([
    ['bad_word', 7],
    ['duplicate_custom_id', 901],
  ])
  expect([calls, files.results.size]).toEqual([[], 0])
})

test.each([
  ['an empty input', '\n\n', 'empty_file'],
  ['too many requests', words(1001).join('\n'), 'too_many_tasks'],
  ['an input that is not there any more', null, 'input_not_found'],
])('%s fails the batch', async (_name, input, code) => {
  const { handler } = scene({ input })
  const ending = await handler.run(job(), new FakeLease())
  expect([ending.state, resultIn(ending.result).faults.map((fault) => fault.code)]).toEqual(['failed', [code]])
})

test('what is refused for now is tried again, not before the time that was told', async () => {
  let numTries = 0
  const { handler, clock, files } = scene({ input: 'w0', runCall: async () => (++numTries < 3 ? answer(429, { 'retry-after': '7' }) : answer(200)) })
  const running = handler.run(job(), new FakeLease())
  await idle()
  await clock.advance(6999)
  expect(numTries).toBe(1)
  await clock.advance(2000)
  await idle()
  expect(numTries).toBe(2)
  await clock.advance(9000)
  const { outputFileId } = resultIn((await running).result)
  expect([numTries, files.textOf(outputFileId)]).toEqual([3, 'w0: 200\n'])
})

test.each([
  ['a refusal that no time heals', answer(429, { 'x-should-retry': 'false' }), 1],
  ['a wrong request', answer(400), 1],
  ['a failure', answer(500), 3],
])('%s is an outcome', async (_name, said, numCalls) => {
  const { handler, clock, calls, files } = scene({ input: 'w0', runCall: async () => said })
  const running = handler.run(job(), new FakeLease())
  for (let seconds = 0; seconds < 60; seconds++) {
    await idle()
    await clock.advance(1000)
  }
  expect(files.textOf(resultIn((await running).result).errorFileId)).toBe(`w0: ${said.status}\n`)
  expect(calls).toHaveLength(numCalls)
})

test('a record that is not done in its time is an outcome, and the others go on', async () => {
  const runCall: RunWireCall = async ({ body }, signal) => {
    if (Buffer.from(body).toString() !== 'w0') return answer(200)
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  }
  const { handler, clock, files } = scene({ input: words(3).join('\n'), runCall })
  const running = handler.run(job(), new FakeLease())
  await idle()
  await clock.advance(500_000)
  const { counts, result } = await running
  expect([counts, files.textOf(resultIn(result).errorFileId)]).toEqual([{ total: 3, succeeded: 2, failed: 1 }, 'w0: timeout\n'])
  expect(clock.numSleepers).toBe(0)
})

test('another attempt repeats no record that is finished', async () => {
  const first = scene({ input: words(50).join('\n') })
  const lease = new FakeLease()
  lease.onPut = () => {
    if (lease.puts.length === 20) throw new InferdError('conflict', 'the lease is lost')
  }
  await expect(first.handler.run(job(), lease)).rejects.toMatchObject({ code: 'conflict' })
  expect(lease.kept.size).toBe(20)
  const kept = [...lease.kept.keys()]
  const second = scene({ input: words(50).join('\n') })
  const ending = await second.handler.run(job({ attempt: 2 }), new FakeLease(lease.kept))
  expect(second.calls).toHaveLength(30)
  expect(second.calls.filter((word) => kept.includes(Number(word.slice(1))))).toEqual([])
  expect(second.files.textOf(resultIn(ending.result).outputFileId)).toBe(
    words(50)
      .map((word) => `${word}: 200\n`)
      .join(''),
  )
})

test('an outcome waits for a store that is away, and its record does not run again', async () => {
  const { handler, calls, clock } = scene({ input: words(3).join('\n') })
  const lease = new FakeLease()
  let numFailures = 0
  lease.onPut = () => {
    if (numFailures++ < 6) throw new InferdError('store_failed', 'the store is away')
  }
  const running = handler.run(job(), lease)
  for (let waits = 0; waits < 10; waits++) {
    await idle()
    await clock.advance(500)
  }
  expect(await running).toMatchObject({ state: 'succeeded', counts: { total: 3, succeeded: 3, failed: 0 } })
  expect([calls.length, numFailures]).toEqual([3, 9])
})

test('a store that stays away ends the attempt', async () => {
  const { handler, clock } = scene({ input: 'w0' })
  const lease = new FakeLease()
  lease.onPut = () => {
    throw new InferdError('store_failed', 'the store is away')
  }
  const running = handler.run(job(), lease)
  running.catch(() => {})
  for (let waits = 0; waits < 40; waits++) {
    await idle()
    await clock.advance(500)
  }
  await expect(running).rejects.toMatchObject({ code: 'store_failed' })
  expect(clock.numSleepers).toBe(0)
})

test('a batch that was published and did not end is published no second time', async () => {
  const { handler, files } = scene({ input: words(3).join('\n') })
  const lease = new FakeLease()
  const first = await handler.run(job(), lease)
  const [text] = [...files.results.values()].map((result) => result.text)
  const second = await handler.run(job({ attempt: 2 }), new FakeLease(lease.kept))
  expect(resultIn(second.result).outputFileId).toBe(resultIn(first.result).outputFileId)
  expect([files.results.size, [...files.results.values()][0]?.text]).toEqual([1, text])
})

test('an answer that was cut because the server stops is no outcome', async () => {
  const lease = new FakeLease()
  const runCall: RunWireCall = async () => {
    lease.abort('shutting_down')
    return answer(503)
  }
  const { handler } = scene({ input: 'w0', runCall })
  await expect(handler.run(job(), lease)).rejects.toMatchObject({ code: 'shutting_down' })
  expect(lease.kept.size).toBe(0)
})

test('a server that routes no more is waited for until the lease ends', async () => {
  const lease = new FakeLease()
  const runCall: RunWireCall = async () => {
    throw new InferdError('shutting_down', 'the server is shutting down')
  }
  const { handler, clock } = scene({ input: 'w0', runCall })
  const running = handler.run(job(), lease)
  running.catch(() => {})
  await idle()
  expect(clock.numSleepers).toBe(2)
  lease.abort('shutting_down')
  await expect(running).rejects.toMatchObject({ message: 'aborted: shutting_down' })
  expect([lease.kept.size, clock.numSleepers]).toEqual([0, 0])
})

const error = (code: ErrorRecord['code']): ErrorRecord => ({ code, message: `it is ${code}`, param: null, retryAfterMs: null })

test.each([
  ['cancelled', 'cancelled', 0],
  ['deadline_exceeded', 'expired', 0],
  ['replica_lost', 'failed', 1],
] as const)('a batch that ended as %s shows what was done and marks the rest', async (code, word, numFaults) => {
  const { handler, files, calls } = scene({ input: words(5).join('\n') })
  const lease = new FakeLease()
  lease.kept.set(3, { index: 3, isOk: true, line: 'w3: 200' }).set(1, { index: 1, isOk: false, line: 'w1: 400' })
  const result = resultIn(await handler.abandon(job({ counts: { total: 5, succeeded: 0, failed: 0 } }), error(code), lease.records))
  expect(result).toMatchObject({ counts: { total: 5, succeeded: 1, failed: 1 }, usage: { inputTokens: 1 } })
  expect(files.textOf(result.outputFileId)).toBe('w3: 200\n')
  expect(files.textOf(result.errorFileId)).toBe(`w0: ${word}\nw1: 400\nw2: ${word}\nw4: ${word}\n`)
  expect([result.faults.length, calls]).toEqual([numFaults, []])
})

test('a batch that was cancelled before it was looked at has no output', async () => {
  const { handler, files } = scene({ input: words(5).join('\n') })
  const result = await handler.abandon(job({ cancelRequestedMs: 1 }), error('cancelled'), new FakeLease().records)
  expect([resultIn(result).counts, files.results.size]).toEqual([{ total: 0, succeeded: 0, failed: 0 }, 0])
})

test('when the input is gone what was done is still shown', async () => {
  const { handler, files } = scene({ input: null })
  const lease = new FakeLease(new Map([[3, { index: 3, isOk: true, line: 'w3: 200' }]]))
  const result = resultIn(await handler.abandon(job({ counts: { total: 5, succeeded: 1, failed: 0 } }), error('cancelled'), lease.records))
  expect([files.textOf(result.outputFileId), result.errorFileId]).toEqual(['w3: 200\n', null])
})

test('an input that is gone at the second attempt fails the batch, with what the first one did', async () => {
  const { handler, files } = scene({ input: null })
  const lease = new FakeLease(new Map([[3, { index: 3, isOk: true, line: 'w3: 200' }]]))
  const ending = await handler.run(job({ attempt: 2 }), lease)
  expect(ending).toMatchObject({ state: 'failed', counts: { total: 1, succeeded: 1, failed: 0 } })
  expect(files.textOf(resultIn(ending.result).outputFileId)).toBe('w3: 200\n')
})

test('wherever an attempt ends, every record has one line in the end', async () => {
  const property = fc.asyncProperty(
    fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 6 }),
    fc.integer({ min: 1, max: 30 }),
    async (ends, count) => {
      const { handler, files, calls } = scene({ input: words(count).join('\n') })
      const kept: FakeLease['kept'] = new Map()
      for (const end of ends) {
        const lease = new FakeLease(kept)
        lease.onPut = () => {
          if (lease.puts.length >= end) throw new InferdError('conflict', 'the process dies here')
        }
        await handler.run(job(), lease).catch(() => {})
      }
      const ending = await handler.run(job(), new FakeLease(kept))
      expect(files.textOf(resultIn(ending.result).outputFileId)).toBe(
        words(count)
          .map((word) => `${word}: 200\n`)
          .join(''),
      )
      // What was in flight when an attempt ended may run twice, and nothing else.
      expect(calls.length).toBeLessThanOrEqual(count + 4 * ends.length)
    },
  )
  await fc.assert(property, { seed: 7, numRuns: 40 })
})
