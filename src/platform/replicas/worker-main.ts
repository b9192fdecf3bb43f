/** Entry of the worker process. Messages that come before the host is loaded wait in the pipe. */
import { useCompileCache } from '#base/compile-cache'

useCompileCache()
await import('./worker-host.ts')
