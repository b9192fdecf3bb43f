/**
 * Keeps what the runtime makes of our sources (types stripped, code compiled) between starts. The folder is our own, never one that other
 * users of the machine can write to; where it cannot be written, every start compiles again.
 */
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

/** To be called before anything large is imported. */
export function useCompileCache(): void {
  enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/inferd', import.meta.url)))
}
