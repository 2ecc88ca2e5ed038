/** Our side of a migration: a whole virtbus with two hosts that reach the same image, and a guest that goes back and forth. */
import { defineDomain, destroyDomain, migrateDomain, startDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { findProgram, Stack, tinyGuestBooted } from '@virtbus/testkit';
import { type Bench } from './bench';
import { type MoveTiming } from './measure/move';
import { MonitoredEmulator } from './peers/monitored-emulator';
import { MonitoredGuest } from './peers/monitored-guest';
import { type QmpMonitor } from './peers/qmp';

export class OurMigration {
  private at = 'h1';

  private constructor(
    private readonly bus: Bus,
    private readonly uuid: string,
    /** The document that it was defined with. */
    readonly xml: string,
    /** Of its QEMU at first. */
    readonly pid: number,
    private readonly guest: MonitoredGuest,
  ) {}

  /** Resolves when its guest has booted. */
  static async start({ folder, cleanUp }: Bench, memoryMib: number, devices: string): Promise<OurMigration> {
    const emulator = MonitoredEmulator.make(folder.file('moved'), findProgram('qemu-system-x86_64') ?? '');
    const env = {
      VIRTBUS_QEMU_EMULATORS: emulator.path,
      VIRTBUS_MIGRATION_ADDRESS: '127.0.0.1',
      VIRTBUS_SHARED_FOLDERS: folder.path,
    };
    const starting = Stack.start({ hosts: ['h1', 'h2'], migrationServices: 1, env });
    cleanUp.add('two hosts', async () => (await starting.catch(() => undefined))?.[Symbol.asyncDispose]());
    const stack = await starting;
    const bus = await stack.connect();
    const xml = await stack.domainXml({ name: 'bench-move', linux: true, memoryMib, devices });
    const { uuid } = (await call(bus, defineDomain, { xml, host: 'h1' })).domain;
    await call(bus, startDomain, {}, { target: uuid });
    // Its terminal is read by our driver: two readers would each get a part of what is printed.
    await stack.consoleShows(bus, uuid, tinyGuestBooted, 300_000);
    const guest = await MonitoredGuest.find(emulator, uuid);
    return new OurMigration(bus, uuid, xml, stack.pidOf(uuid), guest);
  }

  get monitor(): QmpMonitor {
    return this.guest.monitor;
  }

  async move(): Promise<MoveTiming> {
    this.at = this.at === 'h1' ? 'h2' : 'h1';
    return this.guest.move(async () => {
      const request = { to: this.at, live: true, wait: true };
      const { migration: ended } = await call(this.bus, migrateDomain, request, { target: this.uuid });
      if (ended.state !== 'completed') throw new Error(`the migration is '${ended.state}': ${ended.reason ?? ''}`);
    });
  }

  /** Its guest, which may keep a processor busy, is no more. */
  async end(): Promise<void> {
    await call(this.bus, destroyDomain, {}, { target: this.uuid });
  }
}
