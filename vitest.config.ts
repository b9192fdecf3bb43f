import { defineConfig } from 'vitest/config'

// Tests run the TypeScript sources directly: the `inferd-source` condition maps `#room/file` to src/.
export default defineConfig({
  resolve: { conditions: ['inferd-source', 'node'] },
  ssr: { resolve: { conditions: ['inferd-source', 'node'] } },
  test: {
    include: ['src/**/*.test.ts', 'tests/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
