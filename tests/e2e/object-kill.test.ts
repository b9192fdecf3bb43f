/** A process that puts objects is killed again and again; a journal outside of it knows what it acknowledged. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { SeededRandom } from '#base/random'
import { systemDisk } from '#platform/objects/disk'
import { FolderBucket } from '#platform/objects/folder-bucket'

const NUM_LIVES = 25
const SIGNAL = new AbortController().signal
const SCRIPT = path.join(import.meta.dirname, 'put-objects.ts')

test('113: a process is killed 25 times while it puts: what it acknowledged stays, nothing is half, no name changes hands', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-kill-'))
  const random = new SeededRandom(11)
  /** The hash that was acknowledged; null = the name was found taken, by whatever is there. */
  const journal = new Map<string, string | null>()
  try {
    for (let life = 0; life < NUM_LIVES; life++) {
      const lines = await linesUntilKilled([folder, String(life)], 5 + random.nextInt(60))
      for (const line of lines) {
        const { key, etag } = JSON.parse(line) as { key: string; etag: string | null }
        if (etag !== null) expect(journal.get(key) ?? null, `${key} is put twice`).toBeNull()
        journal.set(key, etag ?? journal.get(key) ?? null)
      }
    }
    const bucket = new FolderBucket({ disk: systemDisk, name: 'test', base: folder, inside: [], onDamage: () => {} })
    const listed = await bucket.list('', null, 1_000_000, SIGNAL)
    const etags = new Map(listed.map(({ key, etag }) => [key, etag]))
    for (const [key, etag] of journal) expect(etag ?? etags.get(key), key).toBe(etags.get(key) ?? 'gone')
    for (const { key, etag } of listed) {
      const hash = createHash('sha256')
      let text = ''
      for await (const chunk of bucket.read(key, 0, SIGNAL)) text += Buffer.from(chunk).toString()
      expect(hash.update(text).digest('hex'), key).toBe(etag)
      expect((await bucket.head(key, SIGNAL))?.contentType).toBe(`text/life-${text.split(' ')[0]}`)
    }
    expect(journal.size).toBeGreaterThan(NUM_LIVES * 5)
    expect(readdirSync(path.join(folder, '.inferd/incoming'))).toEqual([])
    expect(readdirSync(path.join(folder, '.inferd/about'))).toHaveLength(listed.length)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** Whole lines only: what was written when the process died may be cut. */
async function linesUntilKilled(args: readonly string[], numLines: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, ['--conditions=inferd-source', SCRIPT, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  const exited = new Promise((resolve) => child.once('close', resolve))
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
    if (text.split('\n').length > numLines) child.kill('SIGKILL')
  })
  await exited
  return text.split('\n').slice(0, -1)
}
