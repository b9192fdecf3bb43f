/**
 * A disk that keeps its promises and no others: contents are safe after the file's sync, names after the sync of their folder. A crash
 * forgets any part of the rest, each name and each piece by itself. It can fail any call, and die before or in the middle of one.
 */
import path from 'node:path'
import type { Random } from '#base/random'
import type { Disk, DiskEntry, DiskFile, DiskSpace, DiskStat, EntryKind } from '#platform/objects/disk'

interface FileNode {
  readonly kind: 'file'
  bytes: Buffer
  modifiedNs: bigint
  /** As of the last sync. */
  durable: { readonly bytes: Buffer; readonly modifiedNs: bigint }
}

interface FolderNode {
  readonly kind: 'folder'
  readonly entries: Map<string, Node>
  /** As of the last sync. */
  durable: ReadonlyMap<string, Node>
}

interface LinkNode {
  readonly kind: 'other'
  readonly to: string
}

type Node = FileNode | FolderNode | LinkNode

/** What happens at a call, by its number from 1: it fails with an errno, or the machine dies before it or half way through a write. */
export type Fault = (call: { readonly number: number; readonly name: string; readonly path: string }) => `E${string}` | 'die' | 'tear' | null

const SYNC_TICKS = 12

/** The machine is dead: nothing that ran on it goes on. */
class MachineDied extends Error {}

export class FakeDisk implements Disk {
  fault: Fault = () => null
  numCalls = 0
  /** So that times tell versions apart only as well as a real clock does. */
  nowNs = 1_700_000_000_000_000_000n
  readonly log: string[] = []
  numOpen = 0
  capacity = { freeBytes: 2 ** 40, totalBytes: 2 ** 40 }
  private readonly root: FolderNode
  private isDead = false

  constructor(root: FolderNode = newFolder()) {
    this.root = root
  }

  get hasDied(): boolean {
    return this.isDead
  }

  /** The disk as the next process finds it when only this one was killed: nothing is lost, and nothing is safer than it was. */
  afterKill(): FakeDisk {
    this.isDead = true
    const disk = new FakeDisk(this.root)
    disk.nowNs = this.nowNs
    return disk
  }

  /** The disk as the next start finds it after the power was lost. `keeps`: whether a change that was not synced has reached it all the same. */
  afterCrash(keeps: () => boolean, random: Random): FakeDisk {
    this.isDead = true
    const survivors = new Map<Node, Node>()
    const survivor = (node: Node): Node => {
      const known = survivors.get(node)
      if (known !== undefined) return known
      if (node.kind === 'other') return node
      if (node.kind === 'file') {
        const file = survivingFile(node, keeps, random)
        survivors.set(node, file)
        return file
      }
      const folder = newFolder()
      survivors.set(node, folder)
      for (const name of new Set([...node.durable.keys(), ...node.entries.keys()])) {
        const [before, after] = [node.durable.get(name), node.entries.get(name)]
        const kept = before === after || keeps() ? after : before
        if (kept !== undefined) folder.entries.set(name, survivor(kept))
      }
      folder.durable = new Map(folder.entries)
      return folder
    }
    const disk = new FakeDisk(survivor(this.root) as FolderNode)
    disk.nowNs = this.nowNs
    return disk
  }

  async create(file: string): Promise<DiskFile> {
    await this.call('create', file)
    const { folder, name } = this.place(file)
    if (folder.entries.has(name)) throw errno('EEXIST')
    const node: FileNode = { kind: 'file', bytes: Buffer.alloc(0), modifiedNs: this.nowNs, durable: { bytes: Buffer.alloc(0), modifiedNs: 0n } }
    folder.entries.set(name, node)
    return this.opened(node, file)
  }

  async open(file: string): Promise<DiskFile> {
    await this.call('open', file)
    const node = this.nodeAt(file)
    if (node.kind === 'other') throw errno('ELOOP')
    return this.opened(node, file)
  }

  async link(from: string, to: string): Promise<void> {
    await this.call('link', to)
    const node = this.nodeAt(from)
    const { folder, name } = this.place(to)
    if (folder.entries.has(name)) throw errno('EEXIST')
    folder.entries.set(name, node)
  }

  async rename(from: string, to: string): Promise<void> {
    await this.call('rename', to)
    const node = this.nodeAt(from)
    const [source, target] = [this.place(from), this.place(to)]
    const old = target.folder.entries.get(target.name)
    if (old === node) return
    if (old?.kind === 'folder') throw errno('EISDIR')
    target.folder.entries.set(target.name, node)
    source.folder.entries.delete(source.name)
  }

  async unlink(file: string): Promise<void> {
    await this.call('unlink', file)
    const { folder, name } = this.place(file)
    if (this.nodeAt(file).kind === 'folder') throw errno('EISDIR')
    folder.entries.delete(name)
  }

  async mkdir(folder: string): Promise<void> {
    await this.call('mkdir', folder)
    const { folder: parent, name } = this.place(folder)
    if (parent.entries.has(name)) throw errno('EEXIST')
    parent.entries.set(name, newFolder())
  }

  async rmdir(folder: string): Promise<void> {
    await this.call('rmdir', folder)
    const node = this.nodeAt(folder)
    if (node.kind !== 'folder') throw errno('ENOTDIR')
    if (node.entries.size > 0) throw errno('ENOTEMPTY')
    const { folder: parent, name } = this.place(folder)
    parent.entries.delete(name)
  }

  async list(folder: string): Promise<readonly DiskEntry[]> {
    await this.call('list', folder)
    const node = this.nodeAt(folder)
    if (node.kind !== 'folder') throw errno('ENOTDIR')
    return [...node.entries].map(([name, { kind }]) => ({ name, kind }))
  }

  async syncFolder(folder: string): Promise<void> {
    await this.call('syncFolder', folder)
    const node = this.nodeAt(folder)
    if (node.kind !== 'folder') throw errno('ENOTDIR')
    node.durable = new Map(node.entries)
    // It takes a while to say so: who changes the folder meanwhile is not in it.
    for (let tick = 0; tick < SYNC_TICKS; tick++) await Promise.resolve()
    if (this.isDead) throw new MachineDied()
  }

  async realPath(file: string): Promise<string> {
    await this.call('realPath', file)
    const node = this.nodeAt(file)
    return node.kind === 'other' ? node.to : file
  }

  /** Counts the call, and lets the fault have its way. True = it is to be torn. */
  async space(folder: string): Promise<DiskSpace> {
    await this.call('space', folder)
    return { ...this.capacity }
  }

  private async call(name: string, file: string): Promise<boolean> {
    await Promise.resolve()
    if (this.isDead) throw new MachineDied()
    const fault = this.fault({ number: ++this.numCalls, name, path: file })
    this.log.push(`${name} ${file}`)
    if (fault === 'die' || (fault === 'tear' && name !== 'write')) {
      this.isDead = true
      throw new MachineDied()
    }
    if (fault !== null && fault !== 'tear') throw errno(fault)
    return fault === 'tear'
  }

  private opened(node: FileNode | FolderNode, file: string): DiskFile {
    this.numOpen++
    const asFile = (): FileNode => {
      if (node.kind !== 'file') throw errno('EISDIR')
      return node
    }
    return {
      write: async (bytes) => {
        const isTorn = await this.call('write', file)
        const own = asFile()
        own.bytes = Buffer.concat([own.bytes, isTorn ? bytes.subarray(0, bytes.length >> 1) : bytes])
        own.modifiedNs = this.nowNs
        if (!isTorn) return
        this.isDead = true
        throw new MachineDied()
      },
      read: async (position, maxBytes) => {
        await this.call('read', file)
        return asFile().bytes.subarray(position, position + maxBytes)
      },
      stat: async (): Promise<DiskStat> => {
        await this.call('stat', file)
        const kind: EntryKind = node.kind
        return node.kind === 'file' ? { kind, numBytes: node.bytes.length, modifiedNs: node.modifiedNs } : { kind, numBytes: 0, modifiedNs: 0n }
      },
      setModified: async (modifiedNs) => {
        await this.call('setModified', file)
        asFile().modifiedNs = modifiedNs
      },
      sync: async () => {
        await this.call('sync', file)
        const own = asFile()
        own.durable = { bytes: own.bytes, modifiedNs: own.modifiedNs }
      },
      close: async () => {
        this.numOpen--
        await this.call('close', file)
      },
    }
  }

  private nodeAt(file: string): Node {
    if (file === '/') return this.root
    const { folder, name } = this.place(file)
    const node = folder.entries.get(name)
    if (node === undefined) throw errno('ENOENT')
    return node
  }

  private place(file: string): { readonly folder: FolderNode; readonly name: string } {
    let folder: Node = this.root
    for (const name of path.dirname(file).split('/').filter(Boolean)) {
      const inner: Node | undefined = folder.kind === 'folder' ? folder.entries.get(name) : undefined
      if (inner === undefined) throw errno('ENOENT')
      if (inner.kind !== 'folder') throw errno('ENOTDIR')
      folder = inner
    }
    return { folder: folder as FolderNode, name: path.basename(file) }
  }
}

function newFolder(): FolderNode {
  return { kind: 'folder', entries: new Map(), durable: new Map() }
}

/** What was not synced is there, is not there, or is there in part; a length may come without its bytes. */
function survivingFile(node: FileNode, keeps: () => boolean, random: Random): FileNode {
  const bytes = node.bytes.equals(node.durable.bytes) ? node.bytes : keeps() ? node.bytes : tornBytes(node, random)
  const modifiedNs = node.modifiedNs === node.durable.modifiedNs || keeps() ? node.modifiedNs : node.durable.modifiedNs
  return { kind: 'file', bytes, modifiedNs, durable: { bytes, modifiedNs } }
}

function tornBytes({ bytes, durable }: FileNode, random: Random): Buffer {
  switch (random.nextInt(3)) {
    case 0:
      return durable.bytes
    case 1:
      return bytes.subarray(0, durable.bytes.length + random.nextInt(bytes.length - durable.bytes.length + 1))
    default:
      return Buffer.concat([durable.bytes, Buffer.alloc(bytes.length - durable.bytes.length)])
  }
}

function errno(code: string): Error {
  return Object.assign(new Error(code), { code })
}
