/**
 * Every setting of inferd, once: type, default, range and words. The command line (`--kv-cache-mib`), the environment
 * (`INFERD_KV_CACHE_MIB`) and docs/reference/configuration.md all come from here.
 */
import { choice, int, text, type Setting } from './setting.ts'
import { storeAddress } from './store-address.ts'

/** How a model is run; every command that loads one takes these. */
export const ENGINE_SETTINGS = {
  ctx: int({
    default: null,
    min: 16,
    max: 10_000_000,
    defaultText: "the model's own, at most 8192",
    doc: 'Longest context of one request, prompt and answer, in tokens.',
  }),
  threads: int({ default: null, min: 1, max: 1024, defaultText: 'one per core', doc: 'Threads that compute.' }),
  kvCacheMib: int({
    default: null,
    min: 1,
    max: 16_777_216,
    defaultText: 'room for 8 full contexts, at most a quarter of the free memory',
    doc: 'Memory for the KV cache, in MiB; reserved at start. One full context (`--ctx`) must fit.',
  }),
  kvType: choice({ default: 'f16', words: ['f16', 'f32', 'q8_0'], doc: 'Element type of the KV cache; q8_0 holds nearly twice the tokens of f16.' }),
  blockSize: int({ default: 16, min: 8, max: 128, doc: 'Tokens per KV block.' }),
  maxStepTokens: int({
    default: 512,
    min: 16,
    max: 65_536,
    doc: 'Token budget of one engine step; long prompts are prefilled in chunks of at most this.',
  }),
  maxSequences: int({ default: 64, min: 1, max: 4096, doc: 'Sequences that run at the same time; the others wait.' }),
  maxWaiting: int({ default: 1024, min: 1, max: 1_000_000, doc: 'Requests that may wait for their first step; one more is refused as overloaded.' }),
  kernels: choice({
    default: 'native',
    words: ['native', 'reference'],
    doc: 'Who computes: native (C++), or reference (plain TypeScript, slow, the oracle).',
  }),
  isa: choice({ default: 'auto', words: ['auto', 'avx512', 'avx2', 'neon', 'scalar'], doc: 'Instruction set of the native kernels.' }),
} as const

/** Where things are kept; every command that reads or writes them takes it. */
export const DATA_SETTINGS = {
  dataDir: text({
    default: '~/.inferd',
    placeholder: 'FOLDER',
    doc: 'Where keys, the usage ledger, the audit log, kept responses and files live. Made with mode 0700.',
  }),
  store: storeAddress({
    doc: 'Where rows live: in a file of the data directory, or on a PostgreSQL server (`docs/reference/store.md`).',
  }),
  storePasswordFrom: text({
    default: '',
    placeholder: 'env:NAME|FILE',
    doc:
      'Where the password for PostgreSQL is: in a variable of the environment or in a file. None by default, or the one in the URL, ' +
      'which others may see in the list of processes.',
  }),
  storeConnections: int({ default: 10, min: 2, max: 500, doc: 'Most connections of one process to PostgreSQL.' }),
} as const

export const SERVER_SETTINGS = {
  host: text({
    default: '127.0.0.1',
    placeholder: 'ADDRESS',
    doc: 'Address to listen on. One that is not loopback needs a key first: `inferd keys create`.',
  }),
  auth: choice({
    default: 'auto',
    words: ['auto', 'required', 'container', 'off'],
    doc:
      'Who needs a key. auto: everybody once a key was made, and always on addresses that are not loopback; container: everybody but on ' +
      '`/invocations`, for images of SageMaker endpoints; off: nobody, on loopback only.',
  }),
  awsRegion: text({ default: 'any', placeholder: 'REGION', doc: 'Region to which AWS signatures must be scoped; any: to whichever.' }),
  port: int({ default: 8484, min: 0, max: 65_535, doc: 'Port to listen on; 0 picks a free one.' }),
  config: text({
    default: '',
    placeholder: 'FILE',
    doc: 'The platform file: models, prices, limits, routes, guardrails and the like, as YAML or JSON; `docs/reference/platform-file.md`. None by default.',
  }),
  replicas: int({ default: 1, min: 1, max: 64, doc: 'Worker processes of each model that is named by `--model`.' }),
  responseRetentionDays: int({ default: 30, min: 1, max: 3650, doc: 'How long kept responses can be read, in days.' }),
  diskReserveMib: int({
    default: 256,
    min: 0,
    max: 1_048_576,
    doc: "Free space of the data directory's disk below which no new job, invocation or file is accepted, in MiB; at most a tenth of the disk. 0: none.",
  }),
  packedWeightsMib: int({
    default: 32_768,
    min: 0,
    max: 16_777_216,
    doc:
      'Disk of the data directory for weights as the kernels have them in memory, in MiB: a model of 64 MiB or more that was loaded before starts ' +
      'without packing them again. 0: none are kept.',
  }),
  bodyLimitMib: int({ default: 4, min: 1, max: 1024, doc: 'Largest request body, in MiB, after decompression.' }),
  requestTimeoutS: int({ default: 600, min: 1, max: 86_400, doc: 'Longest life of one request, in seconds.' }),
  maxConnections: int({ default: 4096, min: 1, max: 1_000_000, doc: 'Open connections; at the cap the oldest idle one makes room for a new one.' }),
  drainS: int({ default: 30, min: 0, max: 86_400, doc: 'How long running requests may go on after SIGTERM, in seconds.' }),
  hangS: int({ default: 60, min: 1, max: 86_400, doc: 'A worker whose step loop does not answer for so long is killed and replaced, in seconds.' }),
  logLevel: choice({
    default: 'info',
    words: ['debug', 'info', 'warn', 'error', 'silent'],
    doc: 'What is written to standard error. Never prompts.',
  }),
} as const

/** A running server, for commands that talk to one. */
export const CLIENT_SETTINGS = {
  url: text({ default: 'http://127.0.0.1:8484', placeholder: 'URL', doc: 'The server.' }),
  key: text({
    default: '',
    placeholder: 'KEY',
    doc: 'A key of the server, with the scope `operate`; `read` is enough to look. None by default. In the environment others do not see it.',
  }),
} as const

type Values<S extends Readonly<Record<string, Setting<unknown>>>> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never }

export type EngineConfig = Values<typeof ENGINE_SETTINGS>
export type DataConfig = Values<typeof DATA_SETTINGS>
export type ServerConfig = Values<typeof SERVER_SETTINGS>
export type ClientConfig = Values<typeof CLIENT_SETTINGS>
export type SettingTable = Readonly<Record<string, Setting<unknown>>>

/** `kvCacheMib` -> `--kv-cache-mib`. */
export function flagName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** `kvCacheMib` -> `INFERD_KV_CACHE_MIB`. */
export function environmentName(key: string): string {
  return `INFERD_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}
