/**
 * `npm run bench` lists the suites; `npm run bench -- SUITE [arguments] [--json FILE]` runs one. Figures go to standard output in words, and to FILE
 * as one JSON record a line (bench/record.ts). What was measured, and where: bench/README.md.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { RECORDS_VARIABLE } from './record.ts'

const SUITES: Readonly<Record<string, { readonly script: string; readonly doc: string }>> = {
  matmul: { script: 'kernels/matmul.ts', doc: 'matmul by format and tokens: GMAC/s and GB/s' },
  attention: { script: 'kernels/attention.ts', doc: 'attention by shape and context' },
  model: { script: 'kernels/model.ts', doc: 'whole steps of a model shape on native kernels' },
  tokenizer: { script: 'kernels/tokenizer.ts', doc: 'MB/s cold and warm, beside @huggingface/tokenizers' },
  scheduler: { script: 'engine/scheduler-cost.ts', doc: 'cost of a step outside of the executor' },
  grammar: { script: 'engine/grammar-masks.ts', doc: '[VOCABULARY WALKS]: token masks of JSON grammars, first and later visits' },
  'grammar-compile': { script: 'grammar/compile-times.ts', doc: '[RUNS]: compile times of tool schemas, beside xgrammar' },
  'json-schema-suite': {
    script: 'grammar/json-schema-suite.ts',
    doc: 'CHECKOUT [--lax] [--list narrower|refused]: the official JSON-Schema-Test-Suite against our grammars, by keyword',
  },
  speed: { script: 'engine/speed.ts', doc: 'MODEL [PROMPTS OUTPUT THREADS DEPTHS]: prefill and decode of one stream' },
  batch: { script: 'engine/batch.ts', doc: 'MODEL [STREAMS PROMPT OUTPUT THREADS]: throughput of concurrent streams' },
  structured: {
    script: 'engine/structured.ts',
    doc: 'MODEL [STREAMS PROMPT OUTPUT THREADS ROUNDS]: throughput with a JSON schema on every stream, and without',
  },
  server: {
    script: 'server/load.ts',
    doc: 'MODEL [ROUNDS] [options of inferd bench]: latencies, throughput and goodput of our server by load, closed and open, over HTTP',
  },
  'ttft-under-prefill': {
    script: 'engine/ttft-under-prefill.ts',
    doc: 'MODEL [PREFILL STREAMS SHORT THREADS ROUNDS]: first token of a short request while a long prompt is prefilled, and what running streams feel',
  },
  start: { script: 'server/start.ts', doc: '[MODEL]: from spawn to ready and to the first streamed token' },
  restart: { script: 'server/restart.ts', doc: '[LIVES]: from spawn to ready after kill -9, idle and under load of every kind' },
  'cold-start': {
    script: 'endpoints/cold-start.ts',
    doc: '[MODEL ROUNDS SPARE]: a sleeping model to the first token of its first caller, by phase',
  },
  'multi-model': {
    script: 'endpoints/multi-model.ts',
    doc: '[MODELS REQUESTS CLIENTS BUDGET_MIB SPARE EXPONENT]: small models by Zipf under one memory: hit ratio, latencies, evictions',
  },
  'batch-soak': {
    script: 'batch/soak.ts',
    doc: '[MODEL ROUNDS SECONDS LOAD PROMPT OUTPUT]: a batch beside interactive calls: their first token, and what the batch gets of the rest',
  },
  stream: { script: 'server/stream-overhead.ts', doc: 'cost of the streaming path with a fake model' },
  gateway: {
    script: 'gateway/latency.ts',
    doc: '[RATE SECONDS ROUNDS STREAMS]: what the gateway adds to streams of 100 events before a mock worker, and the memory of open streams',
  },
  'gateway-overload': {
    script: 'gateway/overload.ts',
    doc: '[SEQUENCES SECONDS RETRIES]: 1 to 10 times what a mock worker carries: goodput, refusals, memory, recovery',
  },
  'gateway-peers': {
    script: 'gateway/peers.ts',
    doc: "FOLDER [ROUNDS SECONDS CONNECTIONS]: throughput before one mock model, beside the LiteLLM proxy and Portkey's gateway",
  },
  jobs: { script: 'jobs/acceptance.ts', doc: '[SECONDS WAITING]: jobs accepted a second, each on the disk; submission and claim beside a long line' },
  peers: {
    script: 'peers/compare.ts',
    doc: 'MODEL [PROMPTS OUTPUT DEPTHS THREADS ROUNDS] [--peers LIST]: one stream beside node-llama-cpp, mainline and ik_llama.cpp',
  },
  'peers-concurrent': {
    script: 'peers/compare-concurrent.ts',
    doc: 'MODEL [STREAMS PROMPT OUTPUT THREADS ROUNDS] [--peers LIST]: total throughput of servers beside them',
  },
  'peers-prefix': {
    script: 'peers/compare-prefix.ts',
    doc: 'MODEL [REQUESTS PREFIX SUFFIX OUTPUT THREADS ROUNDS] [--peers LIST] [--slots LIST]: requests that share a prefix, beside them',
  },
  'peers-all': {
    script: 'peers/compare-all.ts',
    doc: 'ROUNDS MODEL [MODEL ...] [--peers LIST]: the three above, one after the other',
  },
  'peers-accuracy': {
    script: 'peers/compare-accuracy.ts',
    doc: '[MODEL ...]: KL divergence of the next token to the same file computed in F32, beside node-llama-cpp',
  },
  'peers-grammar': {
    script: 'peers/compare-grammar.ts',
    doc: 'MODEL [OUTPUT THREADS ROUNDS PROMPT]: the same with a JSON schema and without',
  },
}

const [name, ...args] = process.argv.slice(2)
const suite = name === undefined ? undefined : SUITES[name]
if (suite === undefined) {
  for (const [key, { doc }] of Object.entries(SUITES)) console.log(`${key.padEnd(17)} ${doc}`)
  process.exit(name === undefined ? 0 : 1)
}
const place = args.indexOf('--json')
const [, file] = place < 0 ? [] : args.splice(place, 2)
if (place >= 0 && file === undefined) {
  console.error('--json FILE')
  process.exit(1)
}
// The records of an earlier run would stand among ours.
if (file !== undefined) writeFileSync(file, '')
const run = spawnSync(process.execPath, ['--conditions=inferd-source', path.join(import.meta.dirname, suite.script), ...args], {
  stdio: 'inherit',
  env: { ...process.env, [RECORDS_VARIABLE]: file === undefined ? '' : path.resolve(file) },
})
process.exit(run.status ?? 1)
