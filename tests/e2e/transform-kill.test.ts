/** A batch transform whose server is killed in the middle, again and again: every record is in the output, once, in order. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EchoUpstream } from '../kills/echo-upstream.ts'
import { InferdProcess } from './inferd-process.ts'
import { runInferd } from './run-inferd.ts'

const RECORDS = 120
const KILLS = 4
const CONCURRENT = 3
const TIMEOUT_MS = 180_000
const ANSWER_MS = 15

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-transform-kill-'))
let upstream: EchoUpstream

beforeAll(async () => {
  upstream = await EchoUpstream.start({ name: /record-\d+/, answerMs: ANSWER_MS })
  writeFileSync(path.join(folder, 'inferd.yaml'), upstream.yaml)
})

afterAll(() => {
  upstream[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

function start(): Promise<InferdProcess> {
  return InferdProcess.start('--config', path.join(folder, 'inferd.yaml'), '--data-dir', path.join(folder, 'data'), '--drain-s', '0')
}

async function control(server: InferdProcess, operation: string, body: object): Promise<Readonly<Record<string, unknown>>> {
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `SageMaker.${operation}` }
  const response = await server.post('/', body, { headers })
  return (await response.json()) as Record<string, unknown>
}

test(
  'a transform that is killed in the middle repeats no finished record, and each is in its output once',
  async () => {
    let server = await start()
    const bucket = path.join(folder, 'data/objects/inferd-local')
    mkdirSync(path.join(bucket, 'in'), { recursive: true })
    const records = Array.from({ length: RECORDS }, (_, index) => `record-${index}`)
    const body = (name: string): string => JSON.stringify({ messages: [{ role: 'user', content: name }] })
    writeFileSync(path.join(bucket, 'in/a.jsonl'), records.map(body).join('\n'))
    const made = await control(server, 'CreateTransformJob', {
      TransformJobName: 'killed',
      ModelName: 'far',
      MaxConcurrentTransforms: CONCURRENT,
      TransformInput: { DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: 's3://inferd-local/in/' } }, SplitType: 'Line' },
      TransformOutput: { S3OutputPath: 's3://inferd-local/out/', AssembleWith: 'Line' },
      TransformResources: { InstanceType: 'ml.m5.large', InstanceCount: 1 },
    })
    expect(made).toHaveProperty('TransformJobArn')
    for (let kills = 1; kills <= KILLS; kills++) {
      while (upstream.numCalls < (kills * RECORDS) / (KILLS + 1)) await sleep(2)
      await server[Symbol.asyncDispose]()
      server = await start()
    }
    const name = { TransformJobName: 'killed' }
    let job = await control(server, 'DescribeTransformJob', name)
    for (; job['TransformJobStatus'] === 'InProgress'; job = await control(server, 'DescribeTransformJob', name)) await sleep(20)
    expect([job['TransformJobStatus'], job['FailureReason']]).toEqual(['Completed', undefined])
    const lines = readFileSync(path.join(bucket, 'out/a.jsonl.out'), 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { choices: { message: { content: string } }[] }).choices[0]?.message.content)).toEqual(records)
    expect(upstream.asked.size).toBe(RECORDS)
    // Only what was in flight, or answered and not yet kept, when the server died was asked again.
    expect(upstream.numCalls).toBeLessThanOrEqual(RECORDS + KILLS * 2 * CONCURRENT)
    const data = ['--data-dir', path.join(folder, 'data')]
    const watched = await runInferd(['jobs', 'watch', 'killed', ...data])
    expect([watched.exitCode, watched.stdout]).toEqual([0, expect.stringContaining(`succeeded  ${RECORDS} of ${RECORDS} records, 0 failed`)])
    const [listed] = JSON.parse((await runInferd(['jobs', 'list', '--kind', 'transform', '--json', ...data])).stdout) as readonly object[]
    expect(listed).toMatchObject({ kind: 'transform', state: 'succeeded', labels: { 'transform-job': 'killed' } })
    expect((await runInferd(['jobs', 'cancel', 'nobody', ...data])).stderr).toBe('inferd: there is no job nobody of the team local\n')
    await server[Symbol.asyncDispose]()
  },
  TIMEOUT_MS,
)
