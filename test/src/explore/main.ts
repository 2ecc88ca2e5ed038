/**
 * `npm run explore -- migration [--faults N] [--aborts N] [--max-states N]`
 *
 * Goes through every order in which a migration can happen, with as many faults as are allowed, and prints how many states
 * that are. Exit code 1 with a shortest way there when something is wrong, 2 when the search was cut short.
 */
import { parseArgs } from 'node:util';
import { migrationModel } from './migration/world';
import { explore } from './search';

const usage = 'usage: npm run explore -- migration [--faults N] [--aborts N] [--max-states N]';

function main(argv: readonly string[]): number {
  const option = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { faults: option, aborts: option, 'max-states': option },
  });
  if (positionals.length !== 1 || positionals[0] !== 'migration') throw new Error(usage);
  const numberOf = (text: string | undefined, usual: number): number => {
    const number = Number(text ?? usual);
    if (!Number.isInteger(number) || number < 0) throw new Error(usage);
    return number;
  };
  const [faults, aborts] = [numberOf(values.faults, 2), numberOf(values.aborts, 1)];
  const most = numberOf(values['max-states'], 5_000_000);
  const codes = [false, true].map((postcopy) => tell({ faults, aborts, postcopy }, most));
  return Math.max(...codes);
}

function tell(bound: Parameters<typeof migrationModel>[0], most: number): number {
  const began = performance.now();
  const { states, moves, ended, cut, trouble } = explore(migrationModel(bound), most);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const kind = bound.postcopy ? 'post-copy' : 'pre-copy';
  console.log(`${kind}, at most ${bound.faults} faults and ${bound.aborts} aborts:`);
  console.log(
    `  ${states} states, ${moves} moves between them, ${ended} ends, ${seconds} s${cut ? ' (cut short)' : ''}`,
  );
  if (trouble) console.log(`  ${trouble.what}, after\n${trouble.way.map((step) => `    ${step}`).join('\n')}`);
  return trouble ? 1 : cut ? 2 : 0;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
