/** `inferd bench` as a row of the command line. Names are those that users of `vllm bench serve` and AIPerf know, where they have one. */
import { Command, Option } from 'commander'
import { CLIENT_SETTINGS } from '#config/schema'
import { addSettings } from './add-settings.ts'

const SETTINGS = {
  ...CLIENT_SETTINGS,
  key: { ...CLIENT_SETTINGS.key, doc: 'A key of the server, with the scope `inference`. None by default. In the environment others do not see it.' },
}

export function addBenchCommand(program: Command, signal: AbortSignal): void {
  const command = program.command('bench').description('measure a server of the OpenAI dialect: latencies, throughput and goodput by load')
  addBenchOptions(command).action(async (flags: object) => (await import('./bench.ts')).bench(flags, signal))
}

/** Of the suite of our own server too. */
export function addBenchOptions(command: Command): Command {
  return addSettings(command, SETTINGS)
    .option('--model <NAME>', 'whom to ask (default: the only model of the server)')
    .addOption(
      new Option('--endpoint <NAME>', 'chat, or completions (default: chat; completions with --prompt-ids)').choices(['chat', 'completions']),
    )
    .option('--concurrency <N,...>', 'closed loop: so many callers, each waits for its answer; a level for each number (default: 1,4,16)')
    .option('--request-rate, --rate <R,...>', 'open loop: requests a second, whether the server keeps up or not; inf: all at once')
    .addOption(new Option('--arrivals <HOW>', 'gaps of the open loop').choices(['poisson', 'constant']).default('poisson'))
    .option('--max-concurrency <N>', 'requests under way in the open loop; those beyond wait in the client, which is told', '1024')
    .option('--num-prompts, --requests <N>', 'requests of each level (default: 5 of each caller, 20 at least)')
    .option('--duration <S>', 'length of each level in seconds; what is under way then is waited for')
    .option('--random-input-len, --prompt-tokens <N|A-B>', 'length of the prompts', '256')
    .option('--random-output-len, --output-tokens <N|A-B>', 'length of the answers', '128')
    .option('--random-prefix-len, --prefix-tokens <N>', 'tokens at the beginning that all prompts share, before those of --prompt-tokens', '0')
    .option('--prompt-ids <A-B>', 'prompts of token ids drawn from this range, of exact length, instead of words')
    .option('--no-ignore-eos', 'do not send ignore_eos: answers may be shorter')
    .option('--extra-body <JSON>', 'fields to add to every request')
    .option('--no-stream', 'ask for whole answers: neither TTFT nor TPOT nor ITL')
    .option('--goodput, --slo <NAME:MS,...>', 'limits of a good answer: ttft:500,tpot:50,e2e:3000')
    .option('--num-warmups, --warmup <N>', 'requests before the first level that are not counted', '3')
    .option('--seed <N>', 'of prompts and arrivals (default: a new one, which the report tells)')
    .option('--timeout <S>', 'deadline of one request', '600')
    .option('--explain', 'print what every figure means')
    .option('--json <FILE>', 'write the report as JSON; - for standard output instead of the table')
    .option('--html <FILE>', 'write the report as one page with charts')
    .option('--svg <FILE>', 'write the charts')
}
