/** Output as objects: one for each object of the input, and a manifest when all of them are there. An object that is there already stays. */
import type { BatchObject } from '#contract/batch'
import type { ObjectStores } from '#contract/objects'
import type { OutputLine } from './output-lines.ts'

export interface ObjectTarget {
  readonly objects: ObjectStores
  readonly team: string
  /** All of it lies below. */
  readonly uri: string
  readonly parts: readonly BatchObject[]
  /** Of each part, in order. */
  readonly partRecords: readonly number[]
  /** JSON; asked for when all lines have passed. */
  readonly manifest: () => string
  readonly signal: AbortSignal
}

const CONTENT_TYPE = 'application/jsonl'
const MANIFEST_NAME = 'manifest.json.out'

export async function publishObjects(lines: AsyncIterable<OutputLine>, target: ObjectTarget): Promise<void> {
  const { parts, partRecords, manifest } = target
  const source = lines[Symbol.asyncIterator]()
  let next = await source.next()
  async function* linesBefore(endIndex: number): AsyncGenerator<Uint8Array> {
    for (; next.done !== true && next.value.index < endIndex; next = await source.next()) yield Buffer.from(`${next.value.line}\n`, 'utf8')
  }
  try {
    let endIndex = 0
    for (const [partIndex, { name }] of parts.entries()) {
      endIndex += partRecords[partIndex] ?? 0
      await putOnce(target, `${name}.out`, linesBefore(endIndex))
      // What is there already was not read.
      for await (const _ of linesBefore(endIndex));
    }
    await putOnce(target, MANIFEST_NAME, asStream(manifest()))
  } finally {
    await source.return?.()
  }
}

async function putOnce(target: ObjectTarget, name: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const { objects, team, uri, signal } = target
  const { bucket, key } = objects.locate(team, uri)
  const folder = key === '' || key.endsWith('/') ? key : `${key}/`
  await bucket.put(`${folder}${name}`, chunks, { contentType: CONTENT_TYPE, maxBytes: Number.MAX_SAFE_INTEGER, ifAbsent: true }, signal)
}

async function* asStream(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text, 'utf8')
}
