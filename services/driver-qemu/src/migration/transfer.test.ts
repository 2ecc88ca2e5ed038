/** Waiting for a migration of a QEMU that says what a test has it say, and keeps count of how often it was asked. */
import type { QemuGuest } from '../guest';
import type { MigrationInfo, MigrationStatus, QmpEvent } from '../qmp';
import { isOver, reach } from './transfer';

class Machine {
  asked = 0;
  now: MigrationInfo = { status: 'active' };
  migrationTold: MigrationStatus | undefined;
  private hear: (event: QmpEvent) => void = () => undefined;

  readonly guest = {
    ask: async () => {
      this.asked++;
      return this.now;
    },
    watch: (hear: (event: QmpEvent) => void) => {
      this.hear = hear;
      return { [Symbol.dispose]: () => undefined };
    },
    ended: new Promise<void>(() => undefined),
    live: { name: 'g' },
  } as unknown as QemuGuest;

  constructor() {
    Object.defineProperty(this.guest, 'migrationTold', { get: () => this.migrationTold });
  }

  tells(...statuses: MigrationStatus[]): void {
    for (const status of statuses) {
      this.now = { ...this.now, status };
      this.migrationTold = status;
      this.hear({ event: 'MIGRATION', data: { status }, timestamp: { seconds: 0, microseconds: 0 } });
    }
  }
}

const signal = new AbortController().signal;

describe('a migration that is waited for', () => {
  test('is not asked for what its events have told', async () => {
    const machine = new Machine();
    machine.tells('setup', 'active');
    const over = reach(machine.guest, isOver, signal);
    machine.tells('device', 'completed');
    expect(await over).toEqual({ status: 'completed' });
    expect(await reach(machine.guest, isOver, signal)).toEqual({ status: 'completed' });
    expect(machine.asked).toBe(0);
  });

  test('is asked when nothing has been told', async () => {
    const machine = new Machine();
    machine.now = { status: 'completed' };
    expect(await reach(machine.guest, isOver, signal)).toEqual({ status: 'completed' });
    expect(machine.asked).toBe(1);
  });

  test('is asked why it has failed', async () => {
    const machine = new Machine();
    machine.tells('active');
    machine.now = { status: 'active', 'error-desc': 'no way' };
    const over = reach(machine.guest, isOver, signal);
    machine.tells('failed');
    expect(await over).toMatchObject({ status: 'failed', 'error-desc': 'no way' });
    expect(machine.asked).toBe(1);
  });

  test('is asked again now and then: an event may be lost', async () => {
    const machine = new Machine();
    machine.tells('active');
    const over = reach(machine.guest, isOver, signal);
    machine.now = { status: 'completed' };
    expect(await over).toEqual({ status: 'completed' });
    expect(machine.asked).toBe(1);
  });

  test('tells all that it says to one who wants to see it', async () => {
    const machine = new Machine();
    const seen: (MigrationStatus | undefined)[] = [];
    machine.tells('active');
    const over = reach(machine.guest, isOver, signal, ({ status }) => seen.push(status));
    await Promise.resolve();
    machine.tells('completed');
    expect((await over).status).toBe('completed');
    expect(seen).toEqual(['active', 'completed']);
  });
});
