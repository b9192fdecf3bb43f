/** A bucket of S3 whose server is slow, refuses, breaks off, lies and points elsewhere. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import type { Bucket } from '#contract/objects'
import { openS3Bucket } from '#platform/objects/open-s3-bucket'
import { Egress } from '#upstreams/egress'
import { bytesOf, chunksOf, textOf } from './object-cases.ts'

type Answer = (request: IncomingMessage, response: ServerResponse, number: number) => void

const SIGNAL = new AbortController().signal
const PUT = { contentType: 'text/plain', maxBytes: 64 << 20, ifAbsent: true }
const MD5 = createHash('md5').update('text').digest('hex')
const closers: (() => void)[] = []

process.env['INFERD_TEST_S3_ID'] = 'id'
process.env['INFERD_TEST_S3_SECRET'] = 'secret'

afterEach(() => closers.splice(0).forEach((close) => close()))

interface Faulty {
  readonly bucket: Bucket
  /** `METHOD path?query range`, in order. */
  readonly asked: readonly string[]
}

async function listening(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return server
}

/** `number`: of the request, from 1. */
async function faulty(answer: Answer, { isAllowed = true } = {}): Promise<Faulty> {
  const asked: string[] = []
  const server = await listening((request, response) => {
    const { range = '' } = request.headers
    asked.push(`${request.method} ${request.url} ${range}`.replace(/[?&]x-id=\w+/, '').trim())
    const number = asked.length
    request.resume().once('end', () => answer(request, response, number))
  })
  const entry = {
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accessKeyId: 'env:INFERD_TEST_S3_ID',
    secretAccessKey: 'env:INFERD_TEST_S3_SECRET',
    sessionToken: null,
    forcePathStyle: true,
    checksums: 'when-supported',
  } as const
  const egress = new Egress([{ host: '127.0.0.1', allowPrivate: isAllowed }])
  const timeouts = { connectMs: 1000, answerMs: 300, idleMs: 300 }
  const opened = openS3Bucket({ name: 'test', entry, egress, clock: systemClock, timeouts })
  closers.push(() => opened.close())
  return { bucket: opened.bucket, asked }
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code><Message>no</Message></Error>`)
}

function give(response: ServerResponse, text: string, headers: Record<string, string> = {}): void {
  const length = String(Buffer.byteLength(text))
  response.writeHead(200, { etag: `"${MD5}"`, 'content-length': length, 'content-type': 'text/plain', ...headers }).end(text)
}

const failed = (words: string): object => ({
  code: 'store_failed',
  message: expect.stringContaining(`the bucket 'test' failed: ${words}`) as string,
})

test('118: a store that fails, is too busy or hangs up is asked again, and the put is done', async () => {
  const { bucket, asked } = await faulty((request, response, number) => {
    if (number === 1) refuse(response, 500, 'InternalError')
    else if (number === 2) request.socket.destroy()
    else if (number === 3) refuse(response, 503, 'SlowDown')
    else if (request.method === 'HEAD') response.writeHead(200, { etag: `"${MD5}"`, 'content-length': '4' }).end()
    else give(response, '')
  })
  expect(await bucket.put('k', chunksOf('text'), PUT, SIGNAL)).toMatchObject({ key: 'k', etag: MD5, numBytes: 4 })
  expect(asked).toEqual(['PUT /test/k', 'PUT /test/k', 'PUT /test/k', 'PUT /test/k', 'HEAD /test/k'])
})

test('118: a store that only fails is given up after four times, in words', async () => {
  for (const [answer, words] of [
    [(_, response) => refuse(response, 500, 'InternalError'), 'the object store failed (500)'],
    [(request) => request.socket.destroy(), 'the object store cannot be reached'],
    [() => {}, 'the object store took too long'],
  ] as readonly (readonly [Answer, string])[]) {
    const { bucket, asked } = await faulty(answer)
    await expect(bucket.put('k', chunksOf('text'), PUT, SIGNAL)).rejects.toMatchObject(failed(words))
    expect(asked).toHaveLength(4)
  }
})

test('118: what no second attempt mends is asked once', async () => {
  for (const [status, code, words] of [
    [403, 'AccessDenied', 'the object store refused these credentials or what they asked for (403 AccessDenied)'],
    [403, 'SignatureDoesNotMatch', 'the object store refused these credentials or what they asked for (403 SignatureDoesNotMatch)'],
    [404, 'NoSuchBucket', 'it does not exist in the object store'],
    [400, 'BadDigest', 'what arrived is not what was sent'],
    [400, 'InvalidRequest', 'the object store refused a request (400 InvalidRequest)'],
  ] as const) {
    const { bucket, asked } = await faulty((_, response) => refuse(response, status, code))
    await expect(bucket.put('k', chunksOf('text'), PUT, SIGNAL)).rejects.toMatchObject(failed(words))
    expect(asked).toHaveLength(1)
    await expect(textOf(bucket, 'k')).rejects.toMatchObject(failed(words))
    await expect(bucket.list('', null, 10, SIGNAL)).rejects.toMatchObject(failed(words))
  }
})

test('118: a put whose answer was lost is ours, if what is there is ours', async () => {
  for (const [etag, isOurs] of [
    [MD5, true],
    ['0'.repeat(32), false],
  ] as const) {
    const { bucket } = await faulty((request, response, number) => {
      if (number === 1) request.socket.destroy()
      else if (request.method === 'PUT') refuse(response, 412, 'PreconditionFailed')
      else response.writeHead(200, { etag: `"${etag}"`, 'content-length': '4' }).end()
    })
    expect((await bucket.put('k', chunksOf('text'), PUT, SIGNAL)) !== null).toBe(isOurs)
  }
})

for (const [what, headers] of [
  ['without a checksum', {}],
  ['with one', { 'x-amz-checksum-crc32': 'poTHxg==' }],
] as const) {
  test(`118: an object ${what} that breaks off goes on where it was, of the same version`, async () => {
    const { bucket, asked } = await faulty((request, response, number) => {
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
      if (number > 1) expect(request.headers['if-match']).toBe(`"${MD5}"`)
      const rest = '0123456789'.slice(start)
      const length = String(rest.length)
      response.writeHead(start === 0 ? 200 : 206, { etag: `"${MD5}"`, 'content-length': length, ...(start === 0 ? headers : {}) })
      if (number >= 3) return void response.end(rest)
      response.write(rest.slice(0, 3))
      setTimeout(() => request.socket.destroy(), 20)
    })
    expect(await textOf(bucket, 'k')).toBe('0123456789')
    expect(asked).toEqual(['GET /test/k', 'GET /test/k bytes=3-', 'GET /test/k bytes=6-'])
  })
}

test('118: an object that goes silent, breaks off for ever or changes on the way is an error, never the end', async () => {
  const begin = (response: ServerResponse): unknown => response.writeHead(200, { etag: `"${MD5}"`, 'content-length': '10' }).write('012')
  const silent = await faulty((_, response, number) => (number === 1 ? begin(response) : refuse(response, 400, 'InvalidRequest')))
  await expect(textOf(silent.bucket, 'k')).rejects.toMatchObject(failed('the object store refused a request'))
  const changed = await faulty((_, response, number) => {
    if (number > 1) return refuse(response, 412, 'PreconditionFailed')
    begin(response)
    setTimeout(() => response.destroy(), 20)
  })
  await expect(textOf(changed.bucket, 'k')).rejects.toMatchObject(failed('the object store refused a request (412 PreconditionFailed)'))
  const broken = await faulty((_, response) => {
    response.writeHead(200, { etag: `"${MD5}"`, 'content-length': '10' }).flushHeaders()
    setTimeout(() => response.destroy(), 5)
  })
  await expect(textOf(broken.bucket, 'k')).rejects.toMatchObject(failed('the object store'))
  expect(broken.asked).toHaveLength(5)
})

test('118: an object that is not what its checksum says is an error', async () => {
  const { bucket, asked } = await faulty((_, response) => give(response, 'text', { 'x-amz-checksum-crc32': 'AAAAAA==' }))
  await expect(textOf(bucket, 'k')).rejects.toMatchObject(failed('what arrived is not what was sent'))
  expect(asked).toHaveLength(1)
})

test('118: parts of an upload that fails or is refused at its end are given back', async () => {
  for (const [failing, status, isNull] of [
    [/partNumber=2/, 500, false],
    [/^POST .*uploadId=u1$/, 500, false],
    [/^POST .*uploadId=u1$/, 412, true],
  ] as const) {
    const { bucket, asked } = await faulty((request, response) => {
      const text = `${request.method} ${request.url}`.replace(/[?&]x-id=\w+/, '')
      if (failing.test(text)) refuse(response, status, status === 412 ? 'PreconditionFailed' : 'InternalError')
      else if (/uploads/.test(text)) give(response, '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>')
      else if (request.method === 'HEAD') response.writeHead(404).end()
      else if (request.method === 'DELETE') response.writeHead(204).end()
      else give(response, '')
    })
    const put = bucket.put('k', bytesOf(9 << 20), PUT, SIGNAL)
    if (isNull) expect(await put).toBeNull()
    else await expect(put).rejects.toMatchObject(failed('the object store failed (500)'))
    expect(asked.at(-1)).toBe('DELETE /test/k?uploadId=u1')
  }
})

test('nobody else is asked: no redirect is followed, and an address that is not allowed gets no connection', async () => {
  let numVisits = 0
  const elsewhere = await listening((_, response) => {
    numVisits++
    give(response, 'text')
  })
  const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/test/k`
  for (const status of [301, 302, 307, 308]) {
    const { bucket } = await faulty((_, response) => response.writeHead(status, { location }).end('<Error><Code>PermanentRedirect</Code></Error>'))
    await expect(textOf(bucket, 'k')).rejects.toMatchObject({ code: 'store_failed' })
  }
  expect(numVisits).toBe(0)
  const closed = await faulty((_, response) => give(response, 'text'), { isAllowed: false })
  await expect(textOf(closed.bucket, 'k')).rejects.toMatchObject(failed('its host may not be connected to'))
  expect(closed.asked).toEqual([])
})
