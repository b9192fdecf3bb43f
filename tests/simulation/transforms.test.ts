/** Batch transforms: whatever the records are and however they are cut, the output is that of each record alone, in order, once. */
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { settle } from '#base/fake-clock'
import { InferdError } from '#contract/errors'
import { FakeLease } from './fake-batch.ts'
import { answered, type Change, transformJob, transformScene, transformSpec, upperCase } from './transform-scene.ts'

type Scene = ReturnType<typeof transformScene>

function run({ handler }: Scene, change: Change = {}, lease = new FakeLease()) {
  return handler.run(transformJob(transformSpec(change)), lease)
}

const reasonOf = async (scene: Scene, change: Change = {}): Promise<string | undefined> => (await run(scene, change)).error?.message

test('each object under the prefix has its output, in the order of its records', async () => {
  const scene = transformScene()
  await scene.put('in/a.csv', 'x,1\ny,2\n')
  await scene.put('in/deep/b.csv', 'z,3')
  await scene.put('in/empty.csv', '')
  await scene.put('in/folder/', '')
  await scene.put('other.csv', 'no')
  const lease = new FakeLease()
  const ending = await run(scene, { pace: { isMultiRecord: false } }, lease)
  expect(ending).toEqual({ state: 'succeeded', counts: { total: 3, succeeded: 3, failed: 0 }, result: { outputs: 3 }, error: null })
  expect([...scene.bucket.objects.keys()].filter((key) => key.startsWith('out')).sort()).toEqual([
    'out/a.csv.out',
    'out/deep/b.csv.out',
    'out/empty.csv.out',
  ])
  expect(['a.csv', 'deep/b.csv', 'empty.csv'].map((name) => scene.bucket.text(`out/${name}.out`))).toEqual(['X,1\nY,2\n', 'Z,3\n', ''])
  expect(scene.calls[0]).toMatchObject({
    path: '/endpoints/m/invocations',
    headers: { 'content-type': 'text/csv', accept: 'text/csv' },
    isBatch: true,
    principal: { team: 'red' },
  })
  expect(lease.notes.at(-1)).toEqual({ total: 3, succeeded: 3, failed: 0 })
})

test('a manifest lists what is read', async () => {
  const scene = transformScene()
  for (const name of ['a', 'b', 'c']) await scene.put(`data/${name}.csv`, name)
  await scene.put('list.json', JSON.stringify([{ prefix: 's3://shared/data/' }, 'c.csv', 'a.csv']))
  await run(scene, { input: { uri: 's3://shared/list.json', isManifest: true } })
  expect(['a', 'b', 'c'].map((name) => scene.bucket.text(`out/${name}.csv.out`))).toEqual(['A\n', null, 'C\n'])
})

const word = fc
  .string({ unit: fc.constantFrom('a', 'é', '"', ',', ' ', '\u2028', '0'), minLength: 1, maxLength: 8 })
  .filter((text) => text.trim() !== '')

test('any cut into payloads gives the same output, whatever ends the lines, packed or not', async () => {
  const property = fc.asyncProperty(
    fc.array(fc.tuple(word, fc.constantFrom('\n', '\r\n', '\n\n')), { maxLength: 12 }),
    fc.record({ maxPayloadBytes: fc.integer({ min: 32, max: 60 }), isMultiRecord: fc.boolean(), maxConcurrent: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ isGzip: fc.boolean(), endsWithLine: fc.boolean() }),
    async (lines, pace, { isGzip, endsWithLine }) => {
      const scene = transformScene()
      const text = lines
        .flat()
        .join('')
        .replace(endsWithLine ? /$/ : /[\r\n]+$/, '')
      await scene.put('in/x', isGzip ? gzipSync(text) : text)
      const ending = await run(scene, { input: { isGzip }, pace })
      expect(ending.state).toBe('succeeded')
      expect(scene.bucket.text('out/x.out')).toBe(lines.map(([record]) => `${record.toUpperCase()}\n`).join(''))
      expect(scene.bodies().every((body) => Buffer.byteLength(body) <= pace.maxPayloadBytes)).toBe(true)
      expect(scene.flying.most).toBeLessThanOrEqual(pace.maxConcurrent)
    },
  )
  await fc.assert(property, { seed: 11, numRuns: 150 })
})

test('a whole object is one record, and bytes that are no text go through', async () => {
  const bytes = Uint8Array.from([0, 255, 10, 13, 10, 128, 0])
  const scene = transformScene(({ body }) => answered(body))
  await scene.put('in/x.bin', bytes)
  await run(scene, { input: { contentType: 'image/png', isSplit: false }, output: { accept: 'image/png', endsLines: false } })
  expect(scene.bucket.objects.get('out/x.bin.out')?.bytes).toEqual(Buffer.from(bytes))
  expect(scene.calls[0]?.body).toEqual(Buffer.from(bytes))
})

const JSON_LINES: Change['input'] = { contentType: 'application/jsonlines' }
const AS_JSON: Change['output'] = { accept: 'application/jsonlines' }

test('lines of JSON are one call each, filtered, joined and filtered again', async () => {
  const scene = transformScene(({ body }) => answered(JSON.stringify({ got: JSON.parse(Buffer.from(body).toString()) as unknown }, null, 2)))
  await scene.put('in/x', '{"id":12345678901234567890,"features":[1,2]}\n{"id":2.50,"features":"two"}')
  const filters = { input: '$.features', joinsInput: true, output: "$['id','SageMakerOutput']" }
  await run(scene, { input: JSON_LINES, output: AS_JSON, filters })
  expect(scene.bodies()).toEqual(['[1,2]', '"two"'])
  expect(scene.calls[0]?.headers).toEqual({ 'content-type': 'application/json', accept: 'application/json' })
  expect(scene.bucket.text('out/x.out')).toBe(
    '{"id":12345678901234567890,"SageMakerOutput":{"got":[1,2]}}\n{"id":2.50,"SageMakerOutput":{"got":"two"}}\n',
  )
})

test('what is no object is joined under a name of its own', async () => {
  const scene = transformScene(() => answered('7'))
  await scene.put('in/x', '[1]')
  await run(scene, { input: JSON_LINES, output: AS_JSON, filters: { joinsInput: true } })
  expect(scene.bucket.text('out/x.out')).toBe('{"SageMakerInput":[1],"SageMakerOutput":7}\n')
})

test('an answer of several lines is one line of the output', async () => {
  const scene = transformScene(() => answered('{\n "a": 1\n}\n'))
  await scene.put('in/x', '{}\n{}')
  await run(scene, { input: JSON_LINES, output: AS_JSON })
  expect(scene.bucket.text('out/x.out')).toBe('{"a":1}\n{"a":1}\n')
})

test('columns are filtered and joined as one would by hand, however the rows are packed', async () => {
  const cell = fc.string({ unit: fc.constantFrom('a', 'ß', '"', ',', ' ', "'"), maxLength: 5 })
  const property = fc.asyncProperty(
    fc.array(fc.array(cell, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 8 }),
    fc.record({ maxPayloadBytes: fc.integer({ min: 60, max: 120 }), isMultiRecord: fc.boolean() }),
    async (rows, pace) => {
      const quoted = (row: readonly string[]): string => row.map((text) => `"${text.replaceAll('"', '""')}"`).join(',')
      const scene = transformScene(({ body }) =>
        answered(
          Buffer.from(body)
            .toString()
            .split('\n')
            .map((_, index) => `s${index},${'é'}`)
            .join('\n'),
        ),
      )
      await scene.put('in/x', rows.map(quoted).join('\n'))
      const ending = await run(scene, { pace, filters: { input: '$[1:]', joinsInput: true, output: '$[0,-1]' } })
      expect(ending.error).toBeNull()
      const readBack = (line: string): string[] =>
        [...`${line},`.matchAll(/(?:"((?:[^"]|"")*)"|([^,"]*)),/g)].map(([, inQuotes, bare]) => inQuotes?.replaceAll('""', '"') ?? bare ?? '')
      expect(scene.bodies().join('\n').split('\n').map(readBack)).toEqual(rows.map((row) => row.slice(1)))
      expect(scene.bucket.text('out/x.out')?.trimEnd().split('\n').map(readBack)).toEqual(rows.map((row) => [row[0], 'é']))
    },
  )
  await fc.assert(property, { seed: 13, numRuns: 150 })
})

const failing: readonly (readonly [string, string | Uint8Array, Change, string])[] = [
  [
    'a line of 50 MB',
    `a\n${'x'.repeat(50 * 2 ** 20)}\n`,
    { pace: { maxPayloadBytes: 6 * 2 ** 20 } },
    'the record of line 2 is larger than MaxPayloadInMB, 6 MB',
  ],
  ['a whole object that is too large', 'x'.repeat(2 ** 20 + 1), { input: { isSplit: false } }, 'is larger than MaxPayloadInMB, 1 MB'],
  ['an object that is not packed', 'a\nb', { input: { isGzip: true } }, 'not what CompressionType Gzip says'],
  ['a packed object that is cut', gzipSync('a\n'.repeat(999)).subarray(0, 20), { input: { isGzip: true } }, 'or it is cut'],
  [
    'a column that is not there',
    'a,b\n',
    { filters: { input: '$[2]' } },
    'record of line 1: ClientError: InputFilter names what a record does not have',
  ],
  ['an open quote', 'a,b\n"a\n', { filters: { input: '$[0]' } }, 'not valid CSV'],
  [
    'a record that is no JSON',
    '{"a":1}\n{"a"\n',
    { input: JSON_LINES, output: AS_JSON, filters: { input: '$.a' } },
    'record of line 2: ClientError: the record is not valid JSON',
  ],
  ['a member that the answer does not have', '{"a":1}', { input: JSON_LINES, output: AS_JSON, filters: { output: '$.b' } }, 'OutputFilter names'],
]

test.each(failing)('%s fails the job in words, and has no output', async (_name, content, change, words) => {
  const scene = transformScene(({ body }) => answered(body))
  await scene.put('in/x', content)
  const ending = await run(scene, change)
  expect(ending.state).toBe('failed')
  expect(ending.error?.message).toContain('ClientError: ')
  expect(ending.error?.message).toContain(words)
  expect(scene.bucket.text('out/x.out')).toBeNull()
})

test.each([
  ['no objects', {}, 'No S3 objects found under S3 URL "s3://shared/in/" given in input data source.'],
  ['no manifest', { input: { uri: 's3://shared/none', isManifest: true } }, 'there is no such object'],
  ['a bucket of nobody', { input: { uri: 's3://nobody/x' } }, 'there is no such bucket'],
])('%s fails the job', async (_name, change, words) => {
  expect(await reasonOf(transformScene(), change)).toContain(words)
})

test.each([
  ['{"prefix":"s3://shared/"}', 'is no JSON array'],
  ['[', 'not valid JSON'],
  ['["a"]', 'must begin with {"prefix"'],
  ['[{"prefix":"s3://shared/"},7]', 'lists names'],
  ['[{"prefix":"s3://shared/"},"none"]', 's3://shared/none, which the manifest lists, does not exist'],
  ['[{"prefix":"s3://shared/"},"list","list"]', 'two objects of the input have one output'],
])('the manifest %s fails the job', async (text, words) => {
  const scene = transformScene()
  await scene.put('list', text)
  expect(await reasonOf(scene, { input: { uri: 's3://shared/list', isManifest: true } })).toContain(words)
})

test('rows that do not come back cannot be joined', async () => {
  const scene = transformScene(() => answered('one'))
  await scene.put('in/x', 'a\nb\n')
  expect(await reasonOf(scene, { filters: { joinsInput: true } })).toContain('2 records were sent and 1 came back')
})

test('a record that fails costs its own object the output and the job its success', async () => {
  const model: Parameters<typeof transformScene>[0] = (call) =>
    Buffer.from(call.body).toString() === 'bad'
      ? answered(JSON.stringify({ OriginalStatusCode: 400, Message: 'Received client error (400) from the model: no' }), 424)
      : upperCase(call)
  const scene = transformScene(model)
  await scene.put('in/a', 'x\nbad\ny\n')
  await scene.put('in/b', 'z')
  const ending = await run(scene, { pace: { isMultiRecord: false, maxConcurrent: 1 } })
  expect(ending).toMatchObject({ state: 'failed', counts: { total: 4, succeeded: 2, failed: 1 } })
  expect(ending.error?.message).toBe('s3://shared/in/a: record of line 2: ClientError: Received client error (400) from the model: no')
  expect([scene.bucket.text('out/a.out'), scene.bucket.text('out/b.out')]).toEqual([null, 'Z\n'])
  expect(scene.bodies()).toEqual(['x', 'bad', 'z'])
})

test('what fails is called again as often as the job says, and a call that hangs is cut', async () => {
  let numCalls = 0
  const scene = transformScene(async (call, signal) => {
    if (++numCalls === 1) return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    return numCalls < 3 ? answered('{}', 500) : upperCase(call)
  })
  await scene.put('in/a', 'x')
  const running = run(scene, { pace: { maxRetries: 2 } })
  for (let seconds = 0; seconds < 9; seconds++) {
    for (let turns = 0; turns < 50; turns++) await settle()
    await scene.clock.advance(1000)
  }
  expect((await running).state).toBe('succeeded')
  expect([numCalls, scene.bucket.text('out/a.out'), scene.clock.numSleepers]).toEqual([3, 'X\n', 0])
})

test('wherever attempts end, each record is in the output once, and none that was kept runs again', async () => {
  const property = fc.asyncProperty(
    fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 6 }),
    fc.integer({ min: 1, max: 25 }),
    async (ends, count) => {
      const scene = transformScene()
      const records = Array.from({ length: count }, (_, index) => `r${index}`)
      await scene.put('in/a', records.slice(0, count >> 1).join('\n'))
      await scene.put('in/b', records.slice(count >> 1).join('\n'))
      const kept: FakeLease['kept'] = new Map()
      const change: Change = { pace: { isMultiRecord: false } }
      for (const end of ends) {
        const lease = new FakeLease(kept)
        lease.onPut = () => {
          if (lease.puts.length >= end) throw new InferdError('store_failed', 'the process dies here')
        }
        const already = [...kept.values()].map(({ line }) => line.slice(1, -1).toLowerCase())
        const before = scene.calls.length
        await run(scene, change, lease).catch(() => {})
        expect(
          scene
            .bodies()
            .slice(before)
            .filter((body) => already.includes(body)),
        ).toEqual([])
      }
      await run(scene, change, new FakeLease(kept))
      const output = `${scene.bucket.text('out/a.out')}${scene.bucket.text('out/b.out')}`
      expect(output).toBe(records.map((record) => `${record.toUpperCase()}\n`).join(''))
      expect(scene.calls.length).toBeLessThanOrEqual(count + 3 * ends.length)
    },
  )
  await fc.assert(property, { seed: 17, numRuns: 60 })
})

test('an input that has changed between attempts fails the job', async () => {
  const scene = transformScene()
  await scene.put('in/a', 'x\n')
  const kept: FakeLease['kept'] = new Map()
  await run(scene, {}, new FakeLease(kept))
  await scene.put('in/b', 'y\n')
  expect((await run(scene, {}, new FakeLease(kept))).error?.message).toBe('ClientError: the input has changed since the job began')
})
