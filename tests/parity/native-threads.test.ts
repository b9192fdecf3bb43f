/** What happens when the system refuses threads: an error with words, no thread left behind, and the process lives. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'

/** Loaded before the C library: refuses every thread of ours from the 40th of the process on. Node itself starts fewer. */
const REFUSING_LIBRARY = `
#include <atomic>
#include <cerrno>
#include <dlfcn.h>
#include <pthread.h>
static std::atomic<int> numThreads{0};
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  return numThreads.fetch_add(1) >= 40 ? EAGAIN : create(thread, attributes, run, argument);
}
`

const SCRIPT = `
import { nativeKernels } from '#engine/kernels/native/native-kernels'
import { readdirSync } from 'node:fs'
const { plainModel } = await import(${JSON.stringify(path.join(import.meta.dirname, 'model-cases.ts'))})
const { program, tensors } = plainModel('f32')
const options = { program, tensors, kvCache: { numBlocks: 4, blockSize: 4, dtype: 'f32' }, limits: { maxTokens: 8, maxSequences: 1, maxOutputs: 8 } }
const countThreads = () => readdirSync('/proc/self/task').length
const before = countThreads()
const refusal = await nativeKernels.bind({ ...options, numThreads: 100 }).catch((error) => error)
console.log(JSON.stringify({ name: refusal.name, code: refusal.code, message: refusal.message, param: refusal.param, numLeft: countThreads() - before }))
`

test.runIf(process.platform === 'linux')('threads that the system refuses are an error of the caller, and the process goes on', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-threads-'))
  try {
    const library = path.join(folder, 'refuse.so')
    execFileSync(process.env['CXX'] ?? 'c++', ['-shared', '-fPIC', '-x', 'c++', '-o', library, '-', '-ldl'], { input: REFUSING_LIBRARY })
    const child = spawnSync(process.execPath, ['--conditions=inferd-source', '--input-type=module', '-e', SCRIPT], {
      env: { ...process.env, LD_PRELOAD: library },
      encoding: 'utf8',
      cwd: path.join(import.meta.dirname, '../..'),
    })
    expect(child.status, child.stderr).toBe(0)
    expect(JSON.parse(child.stdout)).toMatchObject({
      code: 'invalid_parameter',
      param: '--threads',
      message: expect.stringMatching(/^the system refuses to run 100 threads: /) as string,
    })
    expect((JSON.parse(child.stdout) as { readonly numLeft: number }).numLeft).toBeLessThanOrEqual(4)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
