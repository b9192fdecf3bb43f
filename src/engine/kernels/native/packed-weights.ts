/**
 * Weights as they lie in memory, kept in files: `<digest>.packed` holds the bytes of one executor's weights and nothing else, its name all that they
 * depend on (model, layout, program). A file is whole or not there: it gets its name once it is on the disk. Who loads the same model maps it, which
 * takes no time and is memory that workers have in common.
 */
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat, statfs, utimes, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { randomAlphanumerics } from '#base/random'
import type { Program } from '#engine/program/program'
import { weightOf } from '#engine/program/operands'
import type { BindOptions } from '../kernels.ts'
import type { LoweredProgram } from './lower-program.ts'

/** Raise it with every change of native/include/packed_format.h or of the order of weights in memory. */
const LAYOUT_VERSION = 1
const SUFFIX = '.packed'
const UNFINISHED = '.unfinished'
const PIECE_BYTES = 8 << 20
/** An unfinished file that nobody has written to for so long was left by a process that died. */
const LEFTOVER_MS = 60 * 60 * 1000
const OWNER_ONLY = 0o700

interface KeptFile {
  readonly path: string
  readonly bytes: number
  readonly usedMs: number
}

type Place = NonNullable<BindOptions['packedWeights']>

interface PackedSource {
  readonly program: Program
  readonly lowered: LoweredProgram
  /** The model's files. */
  readonly paths: readonly string[]
}

export class PackedWeights {
  readonly path: string
  private readonly place: Place

  private constructor(place: Place, digest: string) {
    this.place = place
    this.path = path.join(place.folder, `${digest}${SUFFIX}`)
  }

  static async of(place: Place, source: PackedSource): Promise<PackedWeights> {
    return new PackedWeights(place, await digestOf(place.modelIdentity, source))
  }

  /** That it was used now: the one that was not used for longest goes first. */
  async touch(): Promise<void> {
    const now = this.place.clock.wallMs() / 1000
    await utimes(this.path, now, now)
  }

  /**
   * Writes the weights, and deletes others that have not been used for longest where all would be more than the place may hold. Does nothing when
   * they are too small or too large, the disk has no room to spare, or they are there. Throws the system's error, or the signal's reason.
   */
  async save(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    if (bytes.length < this.place.minBytes || bytes.length > this.place.maxBytes) return
    await mkdir(this.place.folder, { recursive: true, mode: OWNER_ONLY })
    const kept = await this.tidy()
    if (kept.some((file) => file.path === this.path && file.bytes === bytes.length)) return
    const { bavail, bsize } = await statfs(this.place.folder)
    // Twice: whoever else writes to this disk keeps at least as much.
    if (bavail * bsize < 2 * bytes.length) return
    await removeOldest(kept, this.place.maxBytes - bytes.length)
    const unfinished = `${this.path}.${randomAlphanumerics(8)}${UNFINISHED}`
    try {
      await writeWhole(unfinished, bytes, signal)
      await rename(unfinished, this.path)
    } catch (error) {
      await rm(unfinished, { force: true })
      throw error
    }
  }

  /** Removes what a dead process left; what is kept, in no order. */
  private async tidy(): Promise<readonly KeptFile[]> {
    const oldestMs = this.place.clock.wallMs() - LEFTOVER_MS
    const kept: KeptFile[] = []
    for (const name of await readdir(this.place.folder)) {
      const file = path.join(this.place.folder, name)
      const found = await stat(file).catch(() => null)
      if (found === null) continue
      if (name.endsWith(SUFFIX)) kept.push({ path: file, bytes: found.size, usedMs: found.mtimeMs })
      else if (name.endsWith(UNFINISHED) && found.mtimeMs < oldestMs) await rm(file, { force: true })
    }
    return kept
  }
}

/** Whoever has mapped a file that is removed keeps it until he is done. */
async function removeOldest(kept: readonly KeptFile[], maxBytes: number): Promise<void> {
  let bytes = kept.reduce((sum, file) => sum + file.bytes, 0)
  for (const file of kept.toSorted((a, b) => a.usedMs - b.usedMs)) {
    if (bytes <= maxBytes) return
    await rm(file.path, { force: true })
    bytes -= file.bytes
  }
}

async function writeWhole(file: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  try {
    await writePieces(handle, bytes, signal)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writePieces(handle: FileHandle, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    signal.throwIfAborted()
    const { bytesWritten } = await handle.write(bytes, at, Math.min(PIECE_BYTES, bytes.length - at), at)
    at += bytesWritten
  }
}

/** Modification times too: the identity only samples the data. */
async function digestOf(modelIdentity: string, { program, lowered, paths }: PackedSource): Promise<string> {
  const files: string[] = []
  for (const file of paths) {
    const { size, mtimeNs } = await stat(file, { bigint: true })
    files.push(`${size} ${mtimeNs}`)
  }
  const weights = [...lowered.matrices, ...lowered.vectors].map((id) => weightOf(program, id))
  const { matrices, vectorLengths } = lowered.config
  return createHash('sha256').update(JSON.stringify({ LAYOUT_VERSION, modelIdentity, files, matrices, vectorLengths, weights })).digest('hex')
}
