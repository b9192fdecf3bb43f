/** Chunks of a source that may never come, until a signal says that nobody waits for them any more. */

/** Rejects with the signal's reason as soon as it aborts, and tells the source that it may end, without waiting for that. */
export async function* abortableChunks(source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  signal.throwIfAborted()
  const iterator = source[Symbol.asyncIterator]()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  aborted.catch(() => {})
  const onAbort = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  let isAtEnd = false
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted])
      signal.throwIfAborted()
      if (next.done === true) {
        isAtEnd = true
        return
      }
      yield next.value
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    if (!isAtEnd) void Promise.resolve(iterator.return?.()).catch(() => {})
  }
}
