/** `npm run chaos -- RUN [OPTIONS]`: services and guests are killed in the middle of their work, or guests are moved many times. */
import { parseArgs } from 'node:util';
import { blockJobs } from './block-jobs';
import { cluster } from './cluster';
import { migration } from './migration';
import { moves } from './moves';

const usage = `usage: npm run chaos -- block-jobs [--rounds N] [--seed S] [--from INDEX]
       npm run chaos -- migration [--rounds N] [--seed S] [--from INDEX]
       npm run chaos -- moves [--kind NAME] [--moves N] [--hosts 2|3]
       npm run chaos -- cluster [--minutes N] [--commands N] [--events N] [--parted SECONDS]`;

const runs = { 'block-jobs': blockJobs, migration, moves, cluster };

const text = { type: 'string' } as const;
const options = {
  rounds: text,
  seed: text,
  from: text,
  kind: text,
  moves: text,
  hosts: text,
  minutes: text,
  commands: text,
  events: text,
  parted: text,
  help: { type: 'boolean', short: 'h' },
} as const;

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = given(argv);
  const { help, ...chosen } = values;
  if (help) {
    console.log(usage);
    return 0;
  }
  const run = Object.entries(runs).find(([name]) => positionals.join() === name)?.[1];
  if (!run) throw new Error(usage);
  return run(chosen);
}

function given(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options });
  } catch (error) {
    // The rest of Node's words is about dashes.
    throw new Error(`chaos: ${(error as Error).message.split('.')[0]}\n${usage}`, { cause: error });
  }
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  },
);
