/** What is new is accepted only while the disk has room to end it. What was accepted before, and its results, take what room there is. */
import type { Clock } from '#base/clock'
import type { Invocations } from '#contract/invocation'
import type { JobDesk } from '#contract/job'
import type { FileShelf } from '#contract/stored-file'
import { systemDisk } from '#platform/objects/disk'
import { DiskRoom } from '#platform/objects/disk-room'
import type { Log } from '#telemetry/log'

interface Accepting {
  readonly jobs: JobDesk
  readonly invocations: Invocations
  readonly files: FileShelf | null
}

export interface RoomTerms {
  /** null = a server that keeps nothing on a disk. */
  readonly dataDir: string | null
  /** 0 = nothing is kept free. */
  readonly floorBytes: number
  readonly clock: Clock
  readonly log: Log
}

export function acceptWithRoom({ jobs, invocations, files }: Accepting, { dataDir, floorBytes, clock, log }: RoomTerms): Accepting {
  if (dataDir === null || floorBytes === 0) return { jobs, invocations, files }
  const onChange = (isShort: boolean, freeBytes: number): void =>
    isShort
      ? log.error({ freeBytes }, 'the disk of the data directory is nearly full: no new job, invocation or file is accepted')
      : log.info({ freeBytes }, 'the disk of the data directory has room again')
  const room = new DiskRoom({ disk: systemDisk, folder: dataDir, floorBytes, clock, onChange })
  return {
    jobs: jobsWithRoom(jobs, room),
    invocations: invocationsWithRoom(invocations, room),
    files: files === null ? null : filesWithRoom(files, room),
  }
}

function jobsWithRoom(desk: JobDesk, room: DiskRoom): JobDesk {
  return {
    submit: async (order) => {
      await room.require()
      return desk.submit(order)
    },
    get: (team, id) => desk.get(team, id),
    list: (query) => desk.list(query),
    cancel: (team, id) => desk.cancel(team, id),
    remove: (team, id) => desk.remove(team, id),
    follow: (team, id, signal) => desk.follow(team, id, signal),
  }
}

function invocationsWithRoom(invocations: Invocations, room: DiskRoom): Invocations {
  return {
    accept: async (order, signal) => {
      await room.require()
      const { input } = order
      return invocations.accept(input.kind === 'object' ? order : { ...order, input: { ...input, chunks: room.while(input.chunks) } }, signal)
    },
    get: (team, id) => invocations.get(team, id),
    cancel: (team, id) => invocations.cancel(team, id),
    follow: (team, id, signal) => invocations.follow(team, id, signal),
  }
}

function filesWithRoom(shelf: FileShelf, room: DiskRoom): FileShelf {
  return {
    maxFileBytes: shelf.maxFileBytes,
    receive: async (team) => {
      await room.require()
      const [upload, stride] = [await shelf.receive(team), room.stride()]
      return {
        write: async (chunk) => {
          await stride(chunk.length)
          await upload.write(chunk)
        },
        commit: (label) => upload.commit(label),
        abandon: () => upload.abandon(),
      }
    },
    receiveResult: (team, id) => shelf.receiveResult(team, id),
    get: (team, id) => shelf.get(team, id),
    list: (query) => shelf.list(query),
    read: (file) => shelf.read(file),
    delete: (team, id) => shelf.delete(team, id),
  }
}
