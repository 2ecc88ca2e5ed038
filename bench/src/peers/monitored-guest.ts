/**
 * A guest that a service moves from host to host, seen through the second monitor that its emulator gives it: source and
 * target have it at the same path, one after the other.
 */
import { existsSync, rmSync } from 'node:fs';
import { eventually } from '@virtbus/testkit';
import { type MoveTiming, watchMove } from '../measure/move';
import { type MonitoredEmulator } from './monitored-emulator';
import { QmpMonitor } from './qmp';

export class MonitoredGuest {
  private constructor(
    private readonly socket: string,
    private current: QmpMonitor,
  ) {}

  static async find(emulator: MonitoredEmulator, uuid: string): Promise<MonitoredGuest> {
    const socket = emulator.socketOf(uuid);
    return new MonitoredGuest(socket, await QmpMonitor.open(socket));
  }

  get monitor(): QmpMonitor {
    return this.current;
  }

  /** @param migrate resolves when nothing is left to do */
  async move(migrate: () => Promise<unknown>): Promise<MoveTiming> {
    const { socket } = this;
    rmSync(socket, { force: true }); // ours is open; that of the target comes to the same place
    const began = performance.now();
    const moved = migrate();
    moved.catch(() => undefined); // told below
    await Promise.race([eventually(() => existsSync(socket), true, { timeoutMs: 30_000, intervalMs: 2 }), moved]);
    const target = await QmpMonitor.open(socket);
    const outage = watchMove(this.current, target);
    await moved;
    const total = performance.now() - began;
    const timing = { total, outage: await outage };
    this.current.close();
    this.current = target;
    return timing;
  }
}
