import { expect, test } from 'vitest'
import { systemClock } from '#base/clock'
import { createReferenceVocabulary } from '#engine/grammar/reference-matcher'
import { GrammarLibrary } from './grammar-library.ts'
import type { OutputSpec } from './output-spec.ts'

const never = new AbortController().signal
const BYTES = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))

const spec = (...choices: string[]): OutputSpec => ({ format: { kind: 'choice', choices }, tools: null, reasoning: null })

async function withLibrary(run: (library: GrammarLibrary) => Promise<void>): Promise<void> {
  const library = new GrammarLibrary({ makeVocabulary: () => createReferenceVocabulary(BYTES), clock: systemClock, maxJobs: 64 })
  try {
    await run(library)
  } finally {
    await library.close()
  }
}

test('a grammar is compiled once for all who ask for it together, and found from then on', async () => {
  await withLibrary(async (library) => {
    expect(library.find('t', spec('a'))).toBeNull()
    const [one, two] = await Promise.all([library.load('t', spec('a'), never), library.load('t', spec('a'), never)])
    expect(one).toBe(two)
    expect(library.find('t', spec('a'))).toBe(one)
    expect(library.stats()).toMatchObject({ numGrammars: 1, numGrammarHits: 1, numGrammarMisses: 1 })
  })
})

test('tenants do not share grammars', async () => {
  await withLibrary(async (library) => {
    await library.load('t', spec('a'), never)
    expect(library.find('u', spec('a'))).toBeNull()
  })
})

test('one who goes away does not take the grammar from another who waits for it', async () => {
  await withLibrary(async (library) => {
    const controller = new AbortController()
    const gone = library.load('t', spec('a'), controller.signal)
    const stays = library.load('t', spec('a'), never)
    controller.abort(new Error('gone'))
    await expect(gone).rejects.toThrow('gone')
    expect(await stays).not.toBeNull()
  })
})

test('when all have gone, a newcomer compiles anew', async () => {
  await withLibrary(async (library) => {
    const controller = new AbortController()
    const busy = library.load('t', spec('first'), never)
    const gone = library.load('t', spec('a'), controller.signal)
    controller.abort(new Error('gone'))
    const newcomer = library.load('t', spec('a'), never)
    await expect(gone).rejects.toThrow()
    expect(await newcomer).not.toBeNull()
    await busy
  })
})

test('a refusal is not kept', async () => {
  await withLibrary(async (library) => {
    const bad: OutputSpec = { format: { kind: 'regex', pattern: '(?=a)' }, tools: null, reasoning: null }
    for (let attempt = 0; attempt < 2; attempt++) await expect(library.load('t', bad, never)).rejects.toMatchObject({ code: 'invalid_parameter' })
    expect(library.stats().numGrammars).toBe(0)
  })
})
