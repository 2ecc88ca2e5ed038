/** What somebody who waits for a migration is told, over a service whose answers are given here. */
import { VirtError, type Migration } from '@virtbus/shared';
import { untilMoved } from './migration-watch';
import type { Session } from './session';

const begun = { id: 'm1', name: 'web1', state: 'running', step: 'perform', owed: [], limits: {}, started: 0 };
const running = { ...begun, progress: { elapsedMs: 0, pass: 2 } } as unknown as Migration;
const completed = { ...running, state: 'completed' } as Migration;

const out = { watched: false, status: () => undefined, note: () => undefined, clearStatus: () => undefined };
const how = { verbose: false, postcopyAfterPrecopy: true };

/** @param looks what one look after the other finds; @param postcopy what one try after the other comes to */
function service(looks: Migration[], postcopy: (VirtError | undefined)[]): Pick<Session, 'call'> & { tries: number } {
  const call = async (name: string): Promise<unknown> => {
    if (name === 'showMigration') return { migration: looks.shift() ?? completed };
    const refused = postcopy[session.tries++];
    if (refused) throw refused;
    return { migration: running };
  };
  const session = { tries: 0, call: call as Session['call'] };
  return session;
}

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const atItsSwitch = new VirtError('OPERATION_INVALID', { detail: "the migration is 'device'" });

test('a switch to post-copy that comes too late is no failure of a migration that succeeds', async () => {
  const session = service([running, running], [atItsSwitch, atItsSwitch]);
  const moved = untilMoved(session, out, running, how);
  await jest.runAllTimersAsync();
  expect(await moved).toEqual(completed);
});

test('a switch that was refused is tried again until it is taken, and then no more', async () => {
  const session = service([running, running, running], [atItsSwitch, undefined]);
  const moved = untilMoved(session, out, running, how);
  await jest.runAllTimersAsync();
  await moved;
  expect(session.tries).toBe(2);
});

test('a switch that fails for another reason is told', async () => {
  const moved = untilMoved(
    service([], [new VirtError('HOST_OFFLINE', { host: 'h1', service: 'driver-qemu' })]),
    out,
    running,
    how,
  );
  await expect(moved).rejects.toThrow('h1');
});
