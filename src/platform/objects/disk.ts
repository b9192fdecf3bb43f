/** The few things that a bucket in a folder asks of a disk: the real one, or one that forgets and fails for a test. */
import { constants } from 'node:fs'
import { type FileHandle, link, mkdir, open, readdir, realpath, rename, rmdir, statfs, unlink } from 'node:fs/promises'

export type EntryKind = 'file' | 'folder' | 'other'

export interface DiskEntry {
  readonly name: string
  /** A symbolic link is `other`. */
  readonly kind: EntryKind
}

export interface DiskStat {
  readonly kind: EntryKind
  readonly numBytes: number
  readonly modifiedNs: bigint
}

export interface DiskSpace {
  /** That this process may use. */
  readonly freeBytes: number
  readonly totalBytes: number
}

export interface DiskFile {
  /** All of it, at the end. */
  write(bytes: Uint8Array): Promise<void>
  /** At most `maxBytes`; empty at the end. */
  read(position: number, maxBytes: number): Promise<Uint8Array>
  stat(): Promise<DiskStat>
  /** As near to it as the file system keeps times. */
  setModified(modifiedNs: bigint): Promise<void>
  sync(): Promise<void>
  close(): Promise<void>
}

/** Paths are absolute. Methods throw what has a `code` as those of node:fs have. */
export interface Disk {
  /** EEXIST when the name is taken. */
  create(path: string): Promise<DiskFile>
  /** To read. Follows no symbolic link in the last name (ELOOP). */
  open(path: string): Promise<DiskFile>
  /** EEXIST when `to` is taken, by whatever. */
  link(from: string, to: string): Promise<void>
  /** Takes the place of a file. */
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  mkdir(path: string, mode: number): Promise<void>
  /** ENOTEMPTY unless it is empty. */
  rmdir(path: string): Promise<void>
  list(path: string): Promise<readonly DiskEntry[]>
  /** What the folder has gained and lost is on the disk when it resolves. */
  syncFolder(path: string): Promise<void>
  /** Without symbolic links. */
  realPath(path: string): Promise<string>
  /** Of the file system that the folder is on. */
  space(path: string): Promise<DiskSpace>
}

/** Less what the umask takes: the folder says who may come in. */
const ANYBODY = 0o666
const NS_PER_S = 1e9
/** A pipe that somebody laid into the folder must not make us wait for its writer. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export const systemDisk: Disk = {
  create: async (path) => new SystemFile(await open(path, 'wx', ANYBODY)),
  open: async (path) => new SystemFile(await open(path, READ_FLAGS)),
  link,
  rename,
  unlink,
  mkdir: async (path, mode) => {
    await mkdir(path, mode)
  },
  rmdir,
  list: async (path) => (await readdir(path, { withFileTypes: true })).map((entry) => ({ name: entry.name, kind: kindOf(entry) })),
  syncFolder: async (path) => {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  realPath: (path) => realpath(path),
  space: async (path) => {
    const { bsize, bavail, blocks } = await statfs(path)
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  },
}

class SystemFile implements DiskFile {
  private readonly handle: FileHandle

  constructor(handle: FileHandle) {
    this.handle = handle
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.length;) start += (await this.handle.write(bytes, start)).bytesWritten
  }

  async read(position: number, maxBytes: number): Promise<Uint8Array> {
    const { bytesRead, buffer } = await this.handle.read(Buffer.allocUnsafe(maxBytes), 0, maxBytes, position)
    return buffer.subarray(0, bytesRead)
  }

  async stat(): Promise<DiskStat> {
    const stats = await this.handle.stat({ bigint: true })
    return { kind: kindOf(stats), numBytes: Number(stats.size), modifiedNs: stats.mtimeNs }
  }

  async setModified(modifiedNs: bigint): Promise<void> {
    const seconds = Number(modifiedNs) / NS_PER_S
    await this.handle.utimes(seconds, seconds)
  }

  sync(): Promise<void> {
    return this.handle.sync()
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}

/** Of a file or folder, not of what a link names. */
export async function statOf(disk: Disk, path: string): Promise<DiskStat> {
  const file = await disk.open(path)
  try {
    return await file.stat()
  } finally {
    await file.close()
  }
}

/** All of a file of which more than `maxBytes` make no sense. */
export async function readSmall(disk: Disk, path: string, maxBytes: number): Promise<string> {
  const file = await disk.open(path)
  try {
    return Buffer.from(await file.read(0, maxBytes)).toString('utf8')
  } finally {
    await file.close()
  }
}

function kindOf(entry: { isFile(): boolean; isDirectory(): boolean }): EntryKind {
  return entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : 'other'
}
