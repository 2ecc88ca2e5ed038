/** Disks of a running guest: an external snapshot, and merging 64 MiB of an overlay back, beside libvirtd. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { abortBlockJob, commitBlocks, createSnapshot } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { type Bench, type Benchmark } from '../bench';
import { machineIsQuiet } from '../clock';
import { document } from '../documents';
import { figure } from '../measure/figure';
import { atMostTimes } from '../measure/row';
import { type MonitoredEmulator } from '../peers/monitored-emulator';
import { QmpMonitor } from '../peers/qmp';
import { type Platform } from '../platform';

const name = 'blockjobs';
const guest = 'bench-blockjobs';
const mib = 64;

/** A guest of one side with an image on a disk; each round takes a snapshot, fills the overlay and merges it. */
interface Side {
  emulator: MonitoredEmulator;
  uuid: string;
  /** Where its images are. */
  folder: string;
  /** Milliseconds until the answer. */
  snapshot(xml: string): Promise<number>;
  /** Milliseconds until the guest stands on the image below. */
  commit(): Promise<number>;
  end(): Promise<void>;
}

export const blockJobs: Benchmark = {
  name,
  doc: `external snapshot of a disk; active commit and pivot of ${mib} MiB, beside libvirtd`,
  run: async (bench) => {
    const ours = await ourSide(bench);
    const theirs = await itsSide(bench);
    const sides = theirs ? [ours, theirs] : [ours];
    const times = sides.map(() => ({ snapshot: [] as number[], commit: [] as number[] }));
    await machineIsQuiet();
    // One more than asked: the first, with cold caches, is not counted.
    for (let run = 0; run <= bench.runs(15); run++) {
      for (const [index, side] of sides.entries()) {
        const { snapshot, commit } = await round(side, run);
        if (run === 0) continue;
        times[index]!.snapshot.push(snapshot);
        times[index]!.commit.push(commit);
      }
    }
    for (const side of sides) await side.end();
    const row = (what: 'snapshot' | 'commit', metric: string, factor: number) => ({
      name,
      metric,
      unit: 'ms',
      ours: figure(times[0]![what]),
      peerName: 'libvirtd',
      peer: times[1] && figure(times[1][what]),
      goal: atMostTimes(factor),
    });
    return [row('snapshot', 'external snapshot', 0.5), row('commit', `commit of ${mib} MiB and pivot`, 0.8)];
  },
};

async function round(side: Side, run: number): Promise<{ snapshot: number; commit: number }> {
  const overlay = join(side.folder, `overlay${run}.qcow2`);
  const disk = `<disk name='vda' snapshot='external'><source file='${overlay}'/></disk>`;
  const snapshot = await side.snapshot(`<domainsnapshot><disks>${disk}</disks></domainsnapshot>`);
  await fill(side);
  const commit = await side.commit();
  rmSync(overlay);
  return { snapshot, commit };
}

/** As the guest would: through the device, so into whatever image is the active one. */
async function fill({ emulator, uuid }: Side): Promise<void> {
  const monitor = await QmpMonitor.open(emulator.socketOf(uuid));
  const device = '/machine/peripheral/virtio-disk0/virtio-backend';
  const command = `qemu-io -d ${device} "write -P 7 0 ${mib}M"`;
  await monitor.execute('human-monitor-command', { 'command-line': command });
  await monitor.execute('human-monitor-command', { 'command-line': `qemu-io -d ${device} flush` });
  monitor.close();
}

/** A folder that guests of any user may use, with an image in it; the guest's document. */
function prepare(bench: Bench, side: string, emulator: MonitoredEmulator): { folder: string; xml: string } {
  const folder = bench.folder.file(`blockjobs-${side}`);
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  const image = join(folder, 'base.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', image, `${4 * mib}M`]);
  chmodSync(image, 0o666);
  const disk = `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${image}'/><target dev='vda' bus='virtio'/></disk>`;
  return { folder, xml: document(guest, { devices: `<emulator>${emulator.path}</emulator>${disk}` }) };
}

async function ourSide(bench: Bench): Promise<Side> {
  const platform = await bench.platform();
  const { folder, xml } = prepare(bench, 'ours', platform.monitored);
  const uuid = await platform.define(xml);
  await platform.change('start', uuid);
  const target = { target: uuid };
  return {
    emulator: platform.monitored,
    uuid,
    folder,
    snapshot: (document) =>
      timed(() => call(platform.bus, createSnapshot, { xml: document, diskOnly: true, noMetadata: true }, target)),
    commit: () => timed(() => commitAndPivot(platform, uuid)),
    end: async () => {
      await platform.change('destroy', uuid);
      await platform.undefine(uuid);
    },
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
  const { folder, xml } = prepare(bench, 'theirs', libvirt.monitored);
  const uuid = '1e3f4a5b-0000-4000-8000-0000000b10c5';
  const domain = await libvirt.define(xml.replace('<memory', `<uuid>${uuid}</uuid><memory`));
  await libvirt.change('start', domain);
  return {
    emulator: libvirt.monitored,
    uuid,
    folder,
    snapshot: async (document) => (await libvirt.snapshot(domain, document)).reply,
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
