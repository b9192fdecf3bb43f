/** Who waits for word of a job, or for work, within this process. What other processes do is seen by looking. */
export interface JobListener {
  /** Something may be claimed. */
  readonly onWork: () => void
  /** Somebody has taken this job back. */
  readonly onCancel: (id: string) => void
}

export class JobNews {
  private readonly followers = new Map<string, Set<() => void>>()
  private listener: JobListener | null = null

  /** Of the runner of this process. */
  listen(listener: JobListener): void {
    this.listener = listener
  }

  tellWork(): void {
    this.listener?.onWork()
  }

  tellCancel(id: string): void {
    this.listener?.onCancel(id)
  }

  tell(id: string): void {
    for (const wake of this.followers.get(id) ?? []) wake()
  }

  /** The next word of a job. `forget` when nobody waits for it any more. */
  next(id: string): { readonly heard: Promise<void>; readonly forget: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>()
    const wakes = this.followers.get(id) ?? new Set()
    wakes.add(resolve)
    this.followers.set(id, wakes)
    const forget = (): void => {
      wakes.delete(resolve)
      if (wakes.size === 0) this.followers.delete(id)
    }
    return { heard: promise, forget }
  }
}
