/** The frames of one run, numbered from 0, for readers that come at any time. */

export class FrameLog {
  private frames: string[] | null = []
  private numKept = 0
  private ended = false
  private change = Promise.withResolvers<void>()

  get numFrames(): number {
    return this.frames?.length ?? 0
  }

  /** UTF-16 units. */
  get numCharacters(): number {
    return this.numKept
  }

  get isEnded(): boolean {
    return this.ended
  }

  /** False = it has been dropped. */
  append(frame: string): boolean {
    if (this.frames === null) return false
    this.frames.push(frame)
    this.numKept += frame.length
    this.wake()
    return true
  }

  /** null = it has been dropped. */
  from(index: number): readonly string[] | null {
    return this.frames === null ? null : this.frames.slice(index)
  }

  /** Resolves at the next frame, the end or the drop. */
  changed(): Promise<void> {
    return this.change.promise
  }

  end(): void {
    this.ended = true
    this.wake()
  }

  drop(): void {
    this.frames = null
    this.numKept = 0
    this.wake()
  }

  private wake(): void {
    this.change.resolve()
    this.change = Promise.withResolvers<void>()
  }
}
