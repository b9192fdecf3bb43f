/** Puts objects into a folder until it is killed, and says each one that was acknowledged. */
import { systemDisk } from '#platform/objects/disk'
import { FolderBucket } from '#platform/objects/folder-bucket'

const [folder, life] = process.argv.slice(2)
const NUM_WRITERS = 8
const SIGNAL = new AbortController().signal
const bucket = new FolderBucket({ disk: systemDisk, name: 'test', base: folder!, inside: [], onDamage: () => {} })

async function* chunksOf(text: string): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < text.length; start += 1000) yield Buffer.from(text.slice(start, start + 1000))
}

/** Half of them into names that every life wants, half into names of its own. */
async function write(writer: number): Promise<void> {
  for (let round = 0; ; round++) {
    const key = round % 2 === 0 ? `shared/${writer}/${round}` : `own/${life}/${writer}/${round}`
    const text = `${life} ${writer} ${round} `.repeat(300)
    const meta = await bucket.put(key, chunksOf(text), { contentType: `text/life-${life}`, maxBytes: 1 << 20, ifAbsent: true }, SIGNAL)
    process.stdout.write(`${JSON.stringify({ key, etag: meta?.etag ?? null })}\n`)
  }
}

await Promise.all(Array.from({ length: NUM_WRITERS }, (_, writer) => write(writer)))
