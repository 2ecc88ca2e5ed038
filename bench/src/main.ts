/**
 * `npm run bench -- [NAME …] [--json FILE] [--runs N] [--with-libvirt | --without-libvirt]`: virtbus beside its peers, in one run
 * on one machine.
 *
 * Every speed is told as a ratio too: only that travels to other machines. What a run starts it ends, whichever way it ends.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { isVirtError } from '@virtbus/shared';
import { parseArguments, type Arguments } from './arguments';
import { Bench } from './bench';
import { benchmarks } from './benchmarks';
import { CleanUp } from './cleanup';
import { machineIsQuiet } from './clock';
import { type Row } from './measure/row';
import { installLibvirt } from './peers/libvirt-daemon';
import { toJson, toTable } from './report';

const interrupted = Symbol('interrupted');

async function main(): Promise<number> {
  const options = givenArguments();
  if (!options) return 2;
  if (options.help) {
    console.log(usage());
    return 0;
  }
  if (options.withLibvirt) installLibvirt();
  const cleanUp = new CleanUp();
  const bench = new Bench(options, cleanUp);
  try {
    const rows = await Promise.race([runAll(bench, options), signalled(), crashed()]);
    if (rows === interrupted) return 130;
    console.log(`\n${toTable(rows)}\n\n${footnote(bench)}`);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(toJson(rows), null, 2)}\n`);
    return 0;
  } finally {
    await cleanUp.run();
  }
}

/** Undefined when they are wrong; that is said. */
function givenArguments(): Arguments | undefined {
  const names = benchmarks.map(({ name }) => name);
  try {
    return parseArguments(process.argv.slice(2), names);
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    return undefined;
  }
}

async function runAll(bench: Bench, { names }: Arguments): Promise<Row[]> {
  const rows: Row[] = [];
  for (const benchmark of benchmarks) {
    if (names.length > 0 && !names.includes(benchmark.name)) continue;
    console.error(`${benchmark.name}: ${benchmark.doc}`);
    if (!(await machineIsQuiet())) bench.noisy.push(benchmark.name);
    rows.push(...(await benchmark.run(bench)));
  }
  return rows;
}

function signalled(): Promise<typeof interrupted> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve(interrupted));
  });
}

/** What nobody caught is a failure like others: what was started is ended first. */
function crashed(): Promise<never> {
  return new Promise((_, reject) => {
    for (const event of ['uncaughtException', 'unhandledRejection']) process.once(event, reject);
  });
}

function footnote({ libvirtAbsent, noisy }: Bench): string {
  const lines = [
    `Medians, or the quantile that is named, of interleaved runs; ${cpus().length} processors, guests under TCG.`,
  ];
  if (noisy.length > 0) {
    lines.push(`Other programs kept the processors busy (${noisy.join(', ')}): run it again on a machine at rest.`);
  }
  if (libvirtAbsent !== undefined) lines.push(`No libvirtd beside us: ${libvirtAbsent}.`);
  return lines.join('\n');
}

function usage(): string {
  return [
    'npm run bench -- [NAME …] [--json FILE] [--runs N] [--with-libvirt | --without-libvirt]',
    '',
    ...benchmarks.map(({ name, doc }) => `  ${name.padEnd(10)} ${doc}`),
    '',
    '  --json FILE     write [{name, metric, unit, ours, peer, peerName, ratio, runs}]',
    '  --runs N        measure so many times, instead of what each benchmark needs for a steady median',
    '  --with-libvirt  install libvirtd first, where it is missing (apt-get, as root)',
    '  --without-libvirt  leave it out, also where it is there',
  ].join('\n');
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const { message, stack } = error as Error;
    console.error(`bench: ${isVirtError(error) || !stack ? message : stack}`);
    process.exit(1);
  },
);
