/** A Linux guest of 256 MiB from host to host and back, idle and writing, beside bare QEMU → QEMU. */
import { existsSync, rmSync } from 'node:fs';
import { defineDomain, migrateDomain, openConsole, startDomain } from '@virtbus/shared';
import { call, clientStream, newId, type Bus } from '@virtbus/shared/bus';
import { eventually, findProgram, Stack, tinyGuestBooted } from '@virtbus/testkit';
import { type Bench, type Benchmark } from '../bench';
import { type CleanUp } from '../cleanup';
import { figure } from '../measure/figure';
import { type MoveTiming, watchMove } from '../measure/move';
import { atMostPlus, type Row } from '../measure/row';
import { BareMigration } from '../peers/bare-migration';
import { bareTwinOf } from '../peers/bare-qemu';
import { MonitoredEmulator } from '../peers/monitored-emulator';
import { QmpMonitor } from '../peers/qmp';

const name = 'migration';
const memoryMib = 256;
/** Rewrites 8 MiB without pause. */
const writer = 'while :; do dd if=/dev/urandom of=/run/x bs=1M count=8 2>/dev/null; done &';

export const migration: Benchmark = {
  name,
  doc: `live migration of a ${memoryMib} MiB guest, idle and writing: total time, and how long its processors stand still`,
  run: async (bench) => {
    const ours = await Ours.start(bench);
    const twinAt = (monitor: string) => bareTwinOf(ours.pid, monitor);
    const bare = await BareMigration.start(twinAt, (n) => bench.folder.file(`bare-${n}.sock`), bench.cleanUp);
    await new Promise((booted) => setTimeout(booted, 10_000));
    const rows = await measure(bench, 'idle', ours, bare);
    await ours.type(writer);
    await bare.type(writer);
    rows.push(...(await measure(bench, 'writing', ours, bare)));
    await bare.end();
    return rows;
  },
};

async function measure(bench: Bench, what: string, ours: Ours, bare: BareMigration): Promise<Row[]> {
  const times = { ours: [] as MoveTiming[], bare: [] as MoveTiming[] };
  // One more than asked: the first, with cold caches, is not counted.
  for (let run = 0; run <= bench.runs(7); run++) {
    const [one, other] = [await ours.move(), await bare.move()];
    if (run === 0) continue;
    times.ours.push(one);
    times.bare.push(other);
  }
  const row = (metric: string, of: keyof MoveTiming) => ({
    name,
    metric: `${metric}, ${what} guest`,
    unit: 'ms',
    ours: figure(times.ours.map((one) => one[of])),
    peerName: 'bare QEMU',
    peer: figure(times.bare.map((one) => one[of])),
  });
  return [{ ...row('outage', 'outage'), goal: atMostPlus(10, 'ms') }, row('total', 'total')];
}

class Ours {
  private at = 'h1';

  private constructor(
    private readonly stack: Stack,
    private readonly bus: Bus,
    private readonly emulator: MonitoredEmulator,
    private readonly uuid: string,
    private monitor: QmpMonitor,
  ) {}

  static async start({ folder, cleanUp }: { folder: Bench['folder']; cleanUp: CleanUp }): Promise<Ours> {
    const emulator = MonitoredEmulator.make(folder.file('moved'), findProgram('qemu-system-x86_64') ?? '');
    const env = { VIRTBUS_QEMU_EMULATORS: emulator.path, VIRTBUS_MIGRATION_ADDRESS: '127.0.0.1' };
    const starting = Stack.start({ hosts: ['h1', 'h2'], migrationServices: 1, env });
    cleanUp.add('two hosts', async () => (await starting.catch(() => undefined))?.[Symbol.asyncDispose]());
    const stack = await starting;
    const bus = await stack.connect();
    const xml = await stack.domainXml({ name: 'bench-move', linux: true, memoryMib });
    const { uuid } = (await call(bus, defineDomain, { xml, host: 'h1' })).domain;
    await call(bus, startDomain, {}, { target: uuid });
    await stack.consoleShows(bus, uuid, tinyGuestBooted);
    return new Ours(stack, bus, emulator, uuid, await QmpMonitor.open(emulator.socketOf(uuid)));
  }

  get pid(): number {
    return this.stack.pidOf(this.uuid);
  }

  async type(line: string): Promise<void> {
    const session = newId();
    const stream = clientStream(this.bus, session, () => undefined);
    const { input } = await call(this.bus, openConsole, { session, force: true }, { target: this.uuid });
    stream.connect(input);
    await stream.write(new TextEncoder().encode(`${line}\n`));
    stream.end();
  }

  async move(): Promise<MoveTiming> {
    const to = this.at === 'h1' ? 'h2' : 'h1';
    const socket = this.emulator.socketOf(this.uuid);
    rmSync(socket, { force: true }); // ours is open; that of the target comes to the same place
    const began = performance.now();
    const moved = this.migrate(to);
    moved.catch(() => undefined); // told below
    await Promise.race([eventually(() => existsSync(socket), true, { timeoutMs: 30_000, intervalMs: 2 }), moved]);
    const target = await QmpMonitor.open(socket);
    const outage = watchMove(this.monitor, target);
    await moved;
    const total = performance.now() - began;
    const timing = { total, outage: await outage };
    this.monitor.close();
    this.monitor = target;
    this.at = to;
    return timing;
  }

  private async migrate(to: string): Promise<void> {
    const request = { to, live: true, wait: true };
    const { migration: ended } = await call(this.bus, migrateDomain, request, { target: this.uuid });
    if (ended.state !== 'completed') throw new Error(`the migration is '${ended.state}': ${ended.reason ?? ''}`);
  }
}
