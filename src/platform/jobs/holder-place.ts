/**
 * Where a holder of jobs runs, as it is written into its name, and when one is gone for certain: sooner than its lease. Numbers of processes
 * mean something within one boot of one kernel and one namespace only; names of hosts mean nothing, many machines are called alike.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

export interface HolderPlace {
  /** For people. */
  readonly host: string
  /** null = this system does not say. */
  readonly bootId: string | null
  readonly pidNamespace: string | null
  readonly pid: number
}

export interface HolderView {
  readonly here: HolderPlace
  /** Processes of other machines may hold jobs of the same store. */
  readonly isShared: boolean
  readonly isAlive: (pid: number) => boolean
}

const UNKNOWN = '-'

export function thisPlace(): HolderPlace {
  return {
    host: hostname(),
    bootId: readOrNull(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidNamespace: readOrNull(() => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
  }
}

/** `unique`: a part that no other process has, nor this one for another runner. */
export function holderName({ host, bootId, pidNamespace, pid }: HolderPlace, unique: string): string {
  return [host, bootId ?? UNKNOWN, pidNamespace ?? UNKNOWN, pid, unique].join(' ')
}

/** False = nobody knows. A holder with our number was our predecessor. */
export function isGone(holder: string, { here, isShared, isAlive }: HolderView): boolean {
  const [, bootId, pidNamespace, pidText] = holder.split(' ')
  const pid = Number(pidText)
  if (!Number.isInteger(pid)) return false
  if (here.bootId === null || bootId === UNKNOWN) return !isShared && bootId === UNKNOWN && (pid === here.pid || !isAlive(pid))
  // An embedded store has one server, on a disk of its machine: what was there before it is gone.
  if (bootId !== here.bootId) return !isShared
  if (pidNamespace !== (here.pidNamespace ?? UNKNOWN)) return !isShared && pid === here.pid
  return pid === here.pid || !isAlive(pid)
}

function readOrNull(read: () => string): string | null {
  try {
    return read()
  } catch {
    return null
  }
}
