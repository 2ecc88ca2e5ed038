/**
 * A Linux guest of 256 MiB from host to host and back, idle and writing, beside bare QEMU → QEMU and beside two libvirtds.
 * One moves while the others stand still, so that nobody's guest takes another's time.
 */
import { writeFileSync } from 'node:fs';
import { type Bench, type Benchmark } from '../bench';
import { machineIsQuiet } from '../clock';
import { figure } from '../measure/figure';
import { type MoveTiming } from '../measure/move';
import { atMostPlus, atMostTimes, type Goal, type Row } from '../measure/row';
import { shellAnswers, typeOnTerminal } from '../measure/terminal';
import { OurMigration } from '../our-migration';
import { BareMigration } from '../peers/bare-migration';
import { bareTwinOf } from '../peers/bare-qemu';
import { LibvirtMigration } from '../peers/libvirt-migration';
import { type QmpMonitor } from '../peers/qmp';

const name = 'migration';
const memoryMib = 256;
const diskMib = 64;
/** Stands for the path of a monitor. */
const anywhere = '/monitor';
const uuid = '1e3f4a5b-0000-4000-8000-0000000030fe';
/** Rewrites 8 MiB without pause. */
const writer = 'while :; do dd if=/dev/urandom of=/run/x bs=1M count=8 2>/dev/null; done &';

/** One that moves its guest. */
interface Mover {
  /** Of its guest as it is now. */
  readonly monitor: QmpMonitor;
  move(): Promise<MoveTiming>;
}

interface Sides {
  ours: Mover;
  bare: Mover;
  libvirt?: Mover | undefined;
}

export const migration: Benchmark = {
  name,
  doc: `live migration of a ${memoryMib} MiB guest, idle and writing: total time, and how long its processors stand still`,
  run: async (bench) => {
    const imageOf = (side: string): string => image(bench, side);
    const disk = (path: string): string => `<disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/><source file='${path}'/><target dev='vda' bus='virtio'/>
    </disk>`;
    const ourImage = imageOf('ours');
    const ours = await OurMigration.start(bench, memoryMib, disk(ourImage));
    const bareImage = imageOf('bare');
    const { program, args } = bareTwinOf(ours.pid, anywhere);
    const twinAt = (monitor: string) => ({
      program,
      args: args.map((word) => word.replaceAll(ourImage, bareImage).replace(anywhere, monitor)),
      monitor,
    });
    const monitorPath = (n: number): string => bench.folder.file(`bare-${n}.sock`);
    const bare = await booting(BareMigration.start(twinAt, monitorPath, bench.cleanUp));
    const theirs = (emulator: string): string =>
      ours.xml
        .replaceAll(ourImage, imageOf('theirs'))
        .replace('<memory', `<uuid>${uuid}</uuid><memory`)
        .replace('<devices>', `<devices><emulator>${emulator}</emulator>`);
    const libvirt = await bench.ifPresent(() =>
      booting(LibvirtMigration.start(bench.folder, bench.cleanUp, uuid, theirs)),
    );
    const sides = { ours, bare, libvirt };
    await machineIsQuiet();
    const rows = await measure(bench, 'idle', sides);
    for (const { monitor } of moversOf(sides)) await typeOnTerminal(monitor, writer);
    rows.push(...(await measure(bench, 'writing', sides)));
    await ours.end();
    await bare.end();
    await libvirt?.end();
    return rows;
  },
};

/** Resolves when the guest has booted, too. */
async function booting<M extends Mover>(starting: Promise<M>): Promise<M> {
  const mover = await starting;
  await shellAnswers(mover.monitor);
  return mover;
}

/** That all hosts of one side reach. */
function image({ folder }: Bench, side: string): string {
  const path = folder.file(`${side}.img`);
  writeFileSync(path, Buffer.alloc(diskMib * 1_048_576), { mode: 0o666 });
  return path;
}

const moversOf = ({ ours, bare, libvirt }: Sides): Mover[] => [ours, bare, ...(libvirt ? [libvirt] : [])];

async function measure(bench: Bench, what: string, sides: Sides): Promise<Row[]> {
  const times: Record<keyof Sides, MoveTiming[]> = { ours: [], bare: [], libvirt: [] };
  const movers = moversOf(sides);
  for (const { monitor } of movers) await monitor.execute('stop');
  // Two more than asked: the first moves there and back, with cold caches, are not counted.
  for (let run = -2; run < bench.runs(7); run++) {
    for (const side of ['ours', 'bare', 'libvirt'] as const) {
      const mover = sides[side];
      if (!mover) continue;
      await mover.monitor.execute('cont');
      const timing = await mover.move();
      await mover.monitor.execute('stop');
      if (run >= 0) times[side].push(timing);
    }
  }
  for (const { monitor } of movers) await monitor.execute('cont');
  const row = (of: keyof MoveTiming, peer: 'bare' | 'libvirt', goal?: Goal): Row => ({
    name,
    metric: `${of}, ${what} guest`,
    unit: 'ms',
    ours: figure(times.ours.map((one) => one[of])),
    peerName: peer === 'bare' ? 'bare QEMU' : 'libvirtd',
    peer: times[peer].length > 0 ? figure(times[peer].map((one) => one[of])) : undefined,
    goal,
  });
  return [
    row('outage', 'bare', atMostPlus(10, 'ms')),
    row('outage', 'libvirt', atMostTimes(0.8)),
    row('total', 'bare'),
    row('total', 'libvirt', atMostTimes(0.6)),
  ];
}
