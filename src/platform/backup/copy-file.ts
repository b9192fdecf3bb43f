/** One file from here to there: hashed as it is copied, readable by its owner only, on the disk when it is done. */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import path from 'node:path'

export interface CopiedFile {
  readonly numBytes: number
  readonly sha256: string
  readonly modifiedNs: bigint
}

const CHUNK_BYTES = 1 << 20
const OWNER_ONLY = 0o600
const FOLDER_OWNER_ONLY = 0o700
const NS_PER_S = 1e9

/**
 * As long as the file is at the moment: what is appended meanwhile is left out. `target` must not be there; its folders are made. Throws
 * what the file system throws (ELOOP for a link), and the signal's reason.
 */
export async function copyFile(source: string, target: string, signal: AbortSignal): Promise<CopiedFile> {
  await mkdir(path.dirname(target), { recursive: true, mode: FOLDER_OWNER_ONLY })
  const reading = await open(source, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const writing = await open(target, 'wx', OWNER_ONLY)
    try {
      const copied = await copyBytes(reading, writing, signal)
      const seconds = Number(copied.modifiedNs) / NS_PER_S
      await writing.utimes(seconds, seconds)
      await writing.sync()
      return copied
    } finally {
      await writing.close()
    }
  } finally {
    await reading.close()
  }
}

async function copyBytes(reading: FileHandle, writing: FileHandle, signal: AbortSignal): Promise<CopiedFile> {
  const { size, mtimeNs } = await reading.stat({ bigint: true })
  const hash = createHash('sha256')
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let numBytes = 0
  while (numBytes < Number(size)) {
    signal.throwIfAborted()
    const { bytesRead } = await reading.read(chunk, 0, Math.min(CHUNK_BYTES, Number(size) - numBytes), numBytes)
    if (bytesRead === 0) break
    const piece = chunk.subarray(0, bytesRead)
    hash.update(piece)
    for (let start = 0; start < piece.length;) start += (await writing.write(piece, start)).bytesWritten
    numBytes += bytesRead
  }
  return { numBytes, sha256: hash.digest('hex'), modifiedNs: mtimeNs }
}

/** Names in it are on the disk once it is. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
