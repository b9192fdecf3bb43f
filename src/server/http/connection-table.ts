/**
 * Every open connection, idle ones in the order in which they fell idle. At the cap the oldest idle one makes room; when all
 * are busy the newcomer is closed, so work that runs is never cut for one that knocks.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export class ConnectionTable {
  private readonly maxConnections: number
  /** Responses that are not finished, by connection. */
  private readonly responses = new Map<Socket, Set<ServerResponse>>()
  /** Insertion order = order of falling idle. */
  private readonly idle = new Set<Socket>()

  constructor(maxConnections: number) {
    this.maxConnections = maxConnections
  }

  get count(): number {
    return this.responses.size
  }

  /** True when bytes of an unfinished answer are already on the connection: nothing else may be written to it. */
  isAnswering(socket: Socket): boolean {
    for (const response of this.responses.get(socket) ?? []) {
      if (response.headersSent) return true
    }
    return false
  }

  /** Bytes already written still leave. */
  closeAll(): void {
    for (const socket of this.responses.keys()) socket.destroySoon()
  }

  destroyAll(): void {
    for (const socket of this.responses.keys()) socket.destroy()
  }

  /** False: there was no room, and the newcomer is closed. */
  add(socket: Socket): boolean {
    if (this.responses.size >= this.maxConnections) {
      const [oldestIdle] = this.idle
      if (oldestIdle === undefined) {
        socket.destroy()
        return false
      }
      this.remove(oldestIdle)
      oldestIdle.destroy()
    }
    this.responses.set(socket, new Set())
    this.idle.add(socket)
    socket.once('close', () => this.remove(socket))
    return true
  }

  /** An answer on this connection has begun. */
  track(socket: Socket, response: ServerResponse): void {
    const running = this.responses.get(socket)
    if (running === undefined) return
    running.add(response)
    this.idle.delete(socket)
    response.once('close', () => {
      running.delete(response)
      if (running.size === 0 && this.responses.has(socket)) this.idle.add(socket)
    })
  }

  private remove(socket: Socket): void {
    this.responses.delete(socket)
    this.idle.delete(socket)
  }
}
