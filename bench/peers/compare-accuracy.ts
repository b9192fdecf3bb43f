/**
 * What low precision costs: KL divergence of the next token's distribution to that of the same file computed in F32 (weights of the file, all else
 * in F32, by the reference kernels), ours beside node-llama-cpp's, F32 KV cache on all sides. The tokens are the prompts and answers of
 * tests/golden/shipped-model/llama-cpp.json, so that the files must have the shipped model's vocabulary.
 * Arguments: [MODEL ...] (the shipped model in its formats).
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { divergence } from '../engine/kl-divergence.ts'
import { MAX_SEQUENCE_LENGTH, tokenLogits } from '../engine/token-logits.ts'
import { type BenchRecord, emit } from '../record.ts'
import { lastLineOf } from './child-output.ts'
import { nodeLlamaCpp } from './node-llama-cpp.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const NUM_THREADS = 2
const shipped = ['Q8_0', 'Q4_0', 'Q4_K_M'].map((format) => path.join(ROOT, `models/inferd-chat/inferd-chat-${format}.gguf`))
const modelPaths = process.argv.length > 2 ? process.argv.slice(2).map((file) => path.resolve(file)) : shipped
const peer = nodeLlamaCpp()
const sequences = goldenSequences()

for (const modelPath of modelPaths) {
  const { logProbs: theirs, vocabSize } = peerLogProbs(modelPath)
  const order = { modelPath, sequences, vocabSize }
  const exact = await tokenLogits({ ...order, precision: 'f32' })
  const [ours, others] = [divergence(exact, await tokenLogits({ ...order, precision: 'native' }), vocabSize), divergence(exact, theirs, vocabSize)]
  const name = `${path.basename(modelPath)} ${theirs.length / vocabSize} tokens`
  report(name, 'klDivergenceMean', 'nats', ours.mean, others.mean)
  report(name, 'klDivergenceMax', 'nats', ours.max, others.max)
  report(name, 'sameBestToken', 'share', ours.sameBest, others.sameBest)
}

function goldenSequences(): number[][] {
  const file = path.join(ROOT, 'tests/golden/shipped-model/llama-cpp.json')
  const { prompts, steps } = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly prompts: readonly { readonly tokenIds: readonly number[] }[]
    readonly steps: readonly (readonly { readonly token: number }[])[]
  }
  return prompts.map(({ tokenIds }, index) => [...tokenIds, ...steps[index]!.map(({ token }) => token)].slice(0, MAX_SEQUENCE_LENGTH))
}

function peerLogProbs(modelPath: string): { readonly logProbs: Float32Array; readonly vocabSize: number } {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferd-accuracy-'))
  try {
    const outPath = path.join(folder, 'log-probs')
    const input = JSON.stringify({ modelPath, numThreads: NUM_THREADS, sequences, outPath })
    const line = lastLineOf(process.execPath, ['llama-cpp-distributions.mjs'], { cwd: import.meta.dirname, input })
    const { vocabSize } = JSON.parse(line) as { readonly vocabSize: number }
    return { logProbs: new Float32Array(new Uint8Array(readFileSync(outPath)).buffer), vocabSize }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function report(name: string, metric: string, unit: string, value: number, peerValue: number): void {
  const record: BenchRecord = {
    suite: 'peers-accuracy',
    case: name,
    metric,
    unit,
    value,
    spread: 1,
    peer: `${peer.name} ${peer.version}`,
    peerValue,
    ratio: value / peerValue,
  }
  emit(record)
}
