/**
 * `npm run chaos -- moves [--kind NAME] [--moves N] [--hosts 2|3]`
 *
 * A guest that counts, writes and is heard on the network is moved from host to host, N times in each kind. Exit code 1 when
 * anything was wrong after a move.
 */
import { kinds, type Kind } from '../migration-stand/kinds';
import { moveOn, type MoveResult } from '../migration-stand/moves';
import { MovingGuest } from '../migration-stand/moving-guest';
import { MigrationStand } from '../migration-stand/stand';
import { keepLogs } from './logs';
import { numberOf, stopSignals, type Options } from './options';

export async function moves(options: Options): Promise<number> {
  const perKind = numberOf('moves', options.moves, 20);
  const count = numberOf('hosts', options.hosts, 2);
  const wanted = kinds.filter(({ name }) => options.kind === undefined || name === options.kind);
  if (wanted.length === 0) throw new Error(`--kind must be one of: ${kinds.map(({ name }) => name).join(', ')}`);
  if (count < 2 || count > 3) throw new Error('--hosts must be 2 or 3');
  console.log(`${perKind} moves in each of ${wanted.length} kinds over ${count} hosts`);
  const stopped = stopSignals();
  await using stand = await MigrationStand.start(['h1', 'h2', 'h3'].slice(0, count));
  try {
    return await moveAll(stand, wanted, perKind, stopped);
  } catch (error) {
    console.log(`logs: ${keepLogs(stand.stack, 'moves')}`);
    throw error;
  }
}

async function moveAll(
  stand: MigrationStand,
  wanted: readonly Kind[],
  perKind: number,
  stopped: () => boolean,
): Promise<number> {
  const guest = await MovingGuest.start(stand, 'mover');
  let faulty = 0;
  for (const kind of wanted) {
    const results: MoveResult[] = [];
    while (results.length < perKind && !stopped()) {
      const result = await moveOn(guest, kind);
      results.push(result);
      for (const fault of result.faults) console.log(`    ${kind.name}, ${result.from} to ${result.to}: ${fault}`);
    }
    faulty += results.filter(({ faults }) => faults.length > 0).length;
    console.log(summary(kind.name, results));
  }
  console.log(faulty === 0 ? 'nothing was wrong' : `${faulty} moves left something wrong`);
  return faulty === 0 ? 0 : 1;
}

function summary(kind: string, results: readonly MoveResult[]): string {
  const wrong = results.filter(({ faults }) => faults.length > 0).length;
  const took = middle(results.map(({ tookMs }) => tookMs));
  const silent = results.flatMap(({ silentMs }) => silentMs ?? []);
  const heard =
    silent.length === 0 ? '' : `, not heard for ${middle(silent)} ms, at most ${Math.round(Math.max(...silent))} ms`;
  return `${kind.padEnd(18)} ${results.length} moves, ${wrong} wrong; took ${took} ms${heard}`;
}

/** Median, rounded. */
function middle(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length / 2)] ?? NaN);
}
