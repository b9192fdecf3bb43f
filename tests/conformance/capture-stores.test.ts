/** Captures into real buckets that go away and come back: a folder that is moved, a server of S3 that is killed in the midst of a write. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import type { Bucket } from '#contract/objects'
import { EndpointCaptures } from '#platform/capture/call-captures'
import { DEFAULT_CAPTURE_OPTIONS } from '#platform/capture/capture-options'
import { systemDisk } from '#platform/objects/disk'
import { FolderBucket } from '#platform/objects/folder-bucket'
import { TeamStores } from '#platform/objects/object-stores'
import { openS3Bucket } from '#platform/objects/open-s3-bucket'
import { createLog } from '#telemetry/log'
import { Egress } from '#upstreams/egress'

const folder = mkdtempSync(path.join(tmpdir(), 'inferd-capture-stores-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

process.env['INFERD_TEST_S3_ID'] = 'id'
process.env['INFERD_TEST_S3_SECRET'] = 'secret'

interface Capturing {
  readonly captures: EndpointCaptures
  readonly counts: { written: number; dropped: number; failed: number }
  ask(id: string): void
  until(isSo: () => boolean): Promise<void>
}

function capturing(bucket: Bucket): Capturing {
  const counts = { written: 0, dropped: 0, failed: 0 }
  const captures = new EndpointCaptures({
    objects: new TeamStores({ granted: new Map([['kept', { bucket, teams: null }]]), openTeamBucket: null }),
    options: { ...DEFAULT_CAPTURE_OPTIONS, flushMs: 5, retryMs: 5, maxRetryMs: 20, writeTimeoutMs: 2000 },
    watch: {
      onWritten: (_, by) => void (counts.written += by),
      onDropped: (_, by) => void (counts.dropped += by),
      onFailure: () => void counts.failed++,
      onTruncated: () => {},
      onHeld: () => {},
    },
    clock: systemClock,
    log: createLog('silent'),
  })
  const terms = { isEnabled: true, percent: 100, team: 't', uri: 's3://kept/c', input: true, output: true, csvTypes: [], jsonTypes: ['a/json'] }
  captures.put('chat', [{ unit: 'chat/main@1', variant: 'main', terms }])
  const ask = (id: string): void => {
    const tee = captures.begin('chat', id)
    tee?.add('[]')
    const request = { contentType: 'a/json', bytes: Buffer.from('{}') }
    tee?.finish({ servedBy: 'chat/main@1', inferenceId: null, request, answerType: 'a/json' })
  }
  const until = async (isSo: () => boolean): Promise<void> => {
    for (const endMs = Date.now() + 10_000; !isSo() && Date.now() < endMs;) await sleep(5)
    expect(isSo()).toBe(true)
  }
  return { captures, counts, ask, until }
}

function idsOf(texts: readonly string[]): readonly string[] {
  const lines = texts.flatMap((text) => text.trimEnd().split('\n'))
  return lines.map((line) => (JSON.parse(line) as { eventMetadata: { eventId: string } }).eventMetadata.eventId).toSorted()
}

test('a folder that is moved away gets what it missed when it is back, each call once', async () => {
  const [base, away] = [path.join(folder, 'bucket'), path.join(folder, 'away')]
  mkdirSync(base)
  const bucket = new FolderBucket({ disk: systemDisk, name: 'kept', base, inside: [], onDamage: () => {} })
  const { captures, counts, ask, until } = capturing(bucket)
  ask('before')
  await until(() => counts.written === 1)
  renameSync(base, away)
  ask('during')
  await until(() => counts.failed > 1)
  ask('waiting')
  renameSync(away, base)
  await until(() => counts.written === 3)
  ask('after')
  await captures.close(5000)
  const files = readdirSync(base, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.jsonl'))
  expect(idsOf(files.map((file) => readFileSync(path.join(base, file), 'utf8')))).toEqual(['after', 'before', 'during', 'waiting'])
  expect(counts).toMatchObject({ written: 4, dropped: 0 })
})

test('a server of S3 that is killed after it has kept an object and before it says so is written to again, and has each call once', async () => {
  const objects = new Map<string, string>()
  let isDying = false
  const server = startS3(objects, () => isDying)
  const port = await listen(server, 0)
  const entry = {
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${port}`,
    accessKeyId: 'env:INFERD_TEST_S3_ID',
    secretAccessKey: 'env:INFERD_TEST_S3_SECRET',
    sessionToken: null,
    forcePathStyle: true,
    checksums: 'when-required',
  } as const
  const timeouts = { connectMs: 500, answerMs: 500, idleMs: 500 }
  const egress = new Egress([{ host: '127.0.0.1', allowPrivate: true }])
  const opened = openS3Bucket({ name: 'kept', entry, egress, clock: systemClock, timeouts })
  const { captures, counts, ask, until } = capturing(opened.bucket)
  ask('before')
  await until(() => counts.written === 1)
  isDying = true
  ask('during')
  await until(() => objects.size === 2)
  server.closeAllConnections()
  server.close()
  ask('waiting')
  await until(() => counts.failed > 0)
  isDying = false
  const again = startS3(objects, () => isDying)
  await listen(again, port)
  await captures.close(9000)
  expect(idsOf([...objects.values()])).toEqual(['before', 'during', 'waiting'])
  expect(counts).toMatchObject({ written: 3, dropped: 0 })
  opened.close()
  again.closeAllConnections()
  again.close()
}, 15_000)

/** Keeps what is put. Dying it answers nothing. */
function startS3(objects: Map<string, string>, isDying: () => boolean): Server {
  return createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.once('end', () => {
      const key = new URL(request.url ?? '', 'http://s3').pathname
      const text = Buffer.concat(pieces).toString()
      const isThere = objects.has(key)
      if (!isThere && request.method === 'PUT') objects.set(key, text)
      if (isDying()) return
      if (isThere && request.headers['if-none-match'] === '*')
        response.writeHead(412, { 'content-type': 'application/xml' }).end('<Error><Code>PreconditionFailed</Code></Error>')
      else response.writeHead(200, { etag: `"${createHash('md5').update(text).digest('hex')}"`, 'content-length': 0 }).end()
    })
  })
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
