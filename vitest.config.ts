import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Tests run the TypeScript sources directly: the `inferd-source` condition maps `#room/file` to src/.
export default defineConfig({
  resolve: { conditions: ['inferd-source', 'node'] },
  ssr: { resolve: { conditions: ['inferd-source', 'node'] } },
  test: {
    include: ['src/**/*.test.ts', 'tests/**/*.test.ts', 'bench/**/*.test.ts'],
    // Whatever a test starts keeps its things there, never in the home of the user.
    env: { INFERD_DATA_DIR: join(tmpdir(), `inferd-tests-${process.pid}`) },
    pool: 'forks',
    // Much of the time is waited for: the one worker that a machine of two cores has by default leaves a core idle.
    maxWorkers: availableParallelism(),
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
