/** Disks of a running guest: an external snapshot, and merging 64 MiB of an overlay back, beside bare QEMU and libvirtd. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { abortBlockJob, commitBlocks, createSnapshot } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { type Bench, type Benchmark } from '../bench';
import { machineIsQuiet } from '../clock';
import { document } from '../documents';
import { figure } from '../measure/figure';
import { atMostTimes, type Row } from '../measure/row';
import { BareBlockJobs } from '../peers/bare-block-jobs';
import { bareTwinOf, type BareQemu } from '../peers/bare-qemu';
import { type MonitoredEmulator } from '../peers/monitored-emulator';
import { QmpMonitor } from '../peers/qmp';
import { type Platform } from '../platform';

const name = 'blockjobs';
const guest = 'bench-blockjobs';
const mib = 64;
const base = 'base.qcow2';

/** A guest of one side with an image on a disk; each round takes a snapshot, fills the overlay and merges it. */
interface Side {
  /** Say something to its QEMU. */
  tell: (words: (monitor: QmpMonitor) => Promise<void>) => Promise<void>;
  /** Where its images are. */
  folder: string;
  /** Milliseconds until the guest stands on a new image at that path. */
  snapshot(overlay: string): Promise<number>;
  /** Milliseconds until the guest stands on the image below. */
  commit(): Promise<number>;
  end(): Promise<void>;
}

export const blockJobs: Benchmark = {
  name,
  doc: `external snapshot of a disk; active commit and pivot of ${mib} MiB, beside bare QEMU and libvirtd`,
  run: async (bench) => {
    const [ours, bare] = await ourSides(bench);
    const theirs = await itsSide(bench);
    const sides = [ours, bare, ...(theirs ? [theirs] : [])];
    const times = sides.map(() => ({ snapshot: [] as number[], commit: [] as number[] }));
    await machineIsQuiet();
    // One more than asked: the first, with cold caches, is not counted.
    for (let run = 0; run <= bench.runs(15); run++) {
      for (const turn of sides.keys()) {
        // Who comes first finds the disk at rest: each does in its turn.
        const index = (run + turn) % sides.length;
        const { snapshot, commit } = await round(sides[index]!, run);
        if (run === 0) continue;
        times[index]!.snapshot.push(snapshot);
        times[index]!.commit.push(commit);
      }
    }
    for (const side of sides) await side.end();
    const rows = (what: 'snapshot' | 'commit', metric: string, factor: number): Row[] => {
      const row = { name, metric, unit: 'ms', ours: figure(times[0]![what]) };
      return [
        { ...row, peerName: 'bare QEMU', peer: figure(times[1]![what]) },
        { ...row, peerName: 'libvirtd', peer: times[2] && figure(times[2][what]), goal: atMostTimes(factor) },
      ];
    };
    return [...rows('snapshot', 'external snapshot', 0.5), ...rows('commit', `commit of ${mib} MiB and pivot`, 0.8)];
  },
};

async function round(side: Side, run: number): Promise<{ snapshot: number; commit: number }> {
  const overlay = join(side.folder, `overlay${run}.qcow2`);
  const pattern = 1 + (run % 255);
  const snapshot = await side.snapshot(overlay);
  await fill(side, pattern);
  const commit = await side.commit();
  rmSync(overlay);
  mustHold(join(side.folder, base), pattern);
  return { snapshot, commit };
}

/** It is there when it is said to be: read past the process that has the image open. */
function mustHold(image: string, pattern: number): void {
  const read = spawnSync('qemu-io', ['-r', '-U', '-f', 'qcow2', '-c', `read -P ${pattern} 0 ${mib}M`, image]);
  if (read.status === 0) return;
  throw new Error(
    `${image} does not hold what was committed into it: ${read.stdout.toString()} ${read.stderr.toString()}`,
  );
}

function snapshotXml(overlay: string): string {
  const disk = `<disk name='vda' snapshot='external'><source file='${overlay}'/></disk>`;
  return `<domainsnapshot><disks>${disk}</disks></domainsnapshot>`;
}

/** As the guest would: through the device, so into whatever image is the active one. */
async function fill({ tell }: Side, pattern: number): Promise<void> {
  const device = '/machine/peripheral/virtio-disk0/virtio-backend';
  const command = `qemu-io -d ${device} "write -P ${pattern} 0 ${mib}M"`;
  await tell(async (monitor) => {
    await monitor.execute('human-monitor-command', { 'command-line': command });
    await monitor.execute('human-monitor-command', { 'command-line': `qemu-io -d ${device} flush` });
  });
}

/** Through the monitor that the emulator has beside its manager's. */
const tells =
  (emulator: MonitoredEmulator, uuid: string): Side['tell'] =>
  async (words) => {
    const monitor = await QmpMonitor.open(emulator.socketOf(uuid));
    await words(monitor);
    monitor.close();
  };

/** A folder that guests of any user may use, with an image in it. */
function prepare(bench: Bench, side: string): { folder: string; image: string } {
  const folder = bench.folder.file(`blockjobs-${side}`);
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  const image = join(folder, base);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, `${4 * mib}M`]);
  chmodSync(image, 0o666);
  return { folder, image };
}

function documentOf(emulator: MonitoredEmulator, image: string): string {
  const disk = `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${image}'/><target dev='vda' bus='virtio'/></disk>`;
  return document(guest, { devices: `<emulator>${emulator.path}</emulator>${disk}` });
}

/** Ours, and a QEMU with the same command line that nobody manages. */
async function ourSides(bench: Bench): Promise<[Side, Side]> {
  const platform = await bench.platform();
  const { folder, image } = prepare(bench, 'ours');
  const uuid = await platform.define(documentOf(platform.monitored, image));
  await platform.change('start', uuid);
  const target = { target: uuid };
  const how = { diskOnly: true, noMetadata: true };
  const ours: Side = {
    tell: tells(platform.monitored, uuid),
    folder,
    snapshot: (overlay) =>
      timed(() => call(platform.bus, createSnapshot, { xml: snapshotXml(overlay), ...how }, target)),
    commit: () => timed(() => commitAndPivot(platform, uuid)),
    end: async () => {
      await platform.change('destroy', uuid);
      await platform.undefine(uuid);
    },
  };
  return [ours, await bareSide(bench, bareTwinOf(platform.stack.pidOf(uuid), bench.folder.file('bare.sock')), folder)];
}

async function bareSide(bench: Bench, { program, args, monitor }: BareQemu, twinFolder: string): Promise<Side> {
  const { folder } = prepare(bench, 'bare');
  const own = args.map((word) => word.replaceAll(twinFolder, folder));
  const qemu = await BareBlockJobs.start({ program, args: own, monitor }, bench.cleanUp);
  return {
    tell: (words) => words(qemu.monitor),
    folder,
    snapshot: (overlay) => timed(() => qemu.snapshot(overlay)),
    commit: () => timed(() => qemu.commit()),
    end: () => qemu.end(),
  };
}

async function commitAndPivot(platform: Platform, uuid: string): Promise<void> {
  const target = { target: uuid };
  const ready = platform.ready(uuid);
  await call(platform.bus, commitBlocks, { disk: 'vda', shallow: true, active: true }, target);
  await ready;
  await call(platform.bus, abortBlockJob, { disk: 'vda', pivot: true }, target);
}

async function itsSide(bench: Bench): Promise<Side | undefined> {
  const libvirt = await bench.libvirt();
  if (!libvirt) return undefined;
  const { folder, image } = prepare(bench, 'theirs');
  const uuid = '1e3f4a5b-0000-4000-8000-0000000b10c5';
  const xml = documentOf(libvirt.monitored, image).replace('<memory', `<uuid>${uuid}</uuid><memory`);
  const domain = await libvirt.define(xml);
  await libvirt.change('start', domain);
  return {
    tell: tells(libvirt.monitored, uuid),
    folder,
    snapshot: async (overlay) => (await libvirt.snapshot(domain, snapshotXml(overlay))).reply,
    commit: async () => (await libvirt.commit(domain, 'vda')).reply,
    end: async () => {
      await libvirt.change('destroy', domain);
      await libvirt.undefine(domain);
    },
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
