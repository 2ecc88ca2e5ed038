/**
 * `npm run fuzz -- TARGET [--count N] [--seed S] [--from INDEX] [--threads N] [--patience MS]`
 *
 * Reads damaged documents: the reader may refuse them with a typed error, and nothing else. A document that fails is written to
 * `.cache/fuzz/` and its command printed, which makes and reads it again. Exit code 1 when one failed.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { checkout } from '@virtbus/testkit';
import { Source, type Failure } from './frame';
import { run, type RunResult } from './run';
import { targetNamed, targets } from './targets';

const usage = `usage: npm run fuzz -- TARGET [--count N] [--seed S] [--from INDEX] [--threads N] [--patience MS]
targets: ${targets.map(({ name }) => name).join(', ')}`;

function numberOf(name: string, text: string | undefined, usual: number, least: number): number {
  const number = text === undefined ? usual : Number(text);
  if (Number.isInteger(number) && number >= least) return number;
  throw new Error(`--${name} must be a whole number of at least ${least}, not '${text}'`);
}

async function main(argv: readonly string[]): Promise<number> {
  const option = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { count: option, seed: option, from: option, threads: option, patience: option },
  });
  const target = targetNamed(positionals[0] ?? '');
  if (!target || positionals.length !== 1) throw new Error(usage);
  const seed = numberOf('seed', values.seed, Math.floor(Math.random() * 2 ** 31), 0);
  const count = numberOf('count', values.count, 1_000_000, 1);
  const began = performance.now();
  const rate = (tried: number): number => Math.round(tried / ((performance.now() - began) / 1000));
  const result = await run({
    target: target.name,
    seed,
    from: numberOf('from', values.from, 0, 0),
    count,
    threads: Math.min(count, numberOf('threads', values.threads, availableParallelism(), 1)),
    patienceMs: numberOf('patience', values.patience, 5000, 1),
    maxFailures: 20,
    progress: (tried) => {
      if (process.stderr.isTTY) process.stderr.write(`\r${tried} of ${count}, ${rate(tried)} a second `);
    },
  });
  if (process.stderr.isTTY) process.stderr.write('\r');
  console.log(`${target.name}: ${result.tried} documents, ${rate(result.tried)} a second, --seed ${seed}`);
  console.log(countsOf(result));
  const source = new Source(target, seed);
  for (const failure of result.failures) tell(source, failure);
  return result.failures.length === 0 ? 0 : 1;
}

function countsOf({ outcomes, failures }: RunResult): string {
  const rows = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
  return [...rows, ['failed', failures.length] as const]
    .map(([word, number]) => `${String(number).padStart(9)}  ${word}`)
    .join('\n');
}

function tell(source: Source, { index, reason }: Failure): void {
  const { name } = source.target;
  const folder = join(checkout, '.cache', 'fuzz');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}-${source.seed}-${index}`);
  writeFileSync(file, source.document(index));
  console.log(`\n${reason}\n  document: ${relative(process.cwd(), file)}`);
  console.log(`  again: npm run fuzz -- ${name} --seed ${source.seed} --from ${index} --count 1`);
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  },
);
