/** Writes tests/golden/shipped-model/llama-cpp.json: greedy tokens of the shipped model by node-llama-cpp (installed only in bench/peers). */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { loadTokenizerFromGguf } from '#engine/tokenizers/load-tokenizer'
import { openModelFiles } from '#engine/weights/model-files'
import { GREEDY_PROMPTS } from '../tests/golden/shipped-model/prompts.ts'

const ROOT = path.resolve(import.meta.dirname, '..')
const MODEL = 'models/inferd-chat/inferd-chat-Q8_0.gguf'
const NUM_TOKENS = 64

const files = await openModelFiles(path.join(ROOT, MODEL))
if (files.tokenizerSource.kind !== 'gguf') throw new TypeError('the shipped model is a GGUF file')
const tokenizer = loadTokenizerFromGguf(files.tokenizerSource.values)
const prompts = GREEDY_PROMPTS.map((text) => ({ text, tokenIds: tokenizer.encode(text, { parseSpecial: true, addSpecial: true }) }))
await files.tensors.close()

const promptFile = path.join(mkdtempSync(path.join(tmpdir(), 'inferd-golden-')), 'prompts.json')
writeFileSync(promptFile, JSON.stringify(prompts.map((prompt) => prompt.tokenIds)))
const peer = spawnSync(process.execPath, ['llama-cpp.mjs', 'greedy', path.join(ROOT, MODEL), promptFile, String(NUM_TOKENS)], {
  cwd: path.join(ROOT, 'bench/peers'),
  encoding: 'utf8',
  maxBuffer: 1 << 26,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const steps: unknown = JSON.parse(peer.stdout.trim().split('\n').at(-1) ?? '')
writeFileSync(path.join(ROOT, 'tests/golden/shipped-model/llama-cpp.json'), `${JSON.stringify({ model: MODEL, prompts, steps })}\n`)
