/** Output as objects: one for each object of the input, and a manifest when all of them are there. An object that is there already stays. */
import type { BatchObject } from '#contract/batch'
import type { Bucket, ObjectStores } from '#contract/objects'
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
    await putOnce(target, MANIFEST_NAME, [Buffer.from(manifest(), 'utf8')])
  } finally {
    await source.return?.()
  }
}

async function putOnce(
  { objects, team, uri, signal }: ObjectTarget,
  name: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const { bucket, key }: { readonly bucket: Bucket; readonly key: string } = objects.locate(team, uri)
  const options = { contentType: 'application/jsonl', maxBytes: Number.MAX_SAFE_INTEGER, ifAbsent: true }
  await bucket.put(`${key.replace(/\/$/, '')}/${name}`.replace(/^\//, ''), asStream(chunks), options, signal)
}

async function* asStream(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks
}
