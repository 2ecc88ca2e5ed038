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

async function main(argv: readonly string[]): Promise<number> {
  const option = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      rounds: option,
      seed: option,
      from: option,
      kind: option,
      moves: option,
      hosts: option,
      minutes: option,
      commands: option,
      events: option,
      parted: option,
    },
  });
  const run = Object.entries(runs).find(([name]) => positionals.join() === name)?.[1];
  if (!run) throw new Error(usage);
  return run(values);
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  },
);
