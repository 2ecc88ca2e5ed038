/**
 * How long an event takes from QEMU to a subscriber: suspend and resume, over and over.
 *
 * QEMU's own time stamp, read on a second monitor, is the beginning. The same is told from the caller's side, who begins
 * with the command, and of the stream, which our subscribers may read instead to miss nothing.
 */
import { randomUUID } from 'node:crypto';
import { type Bench, type Benchmark } from '../bench';
import { machineIsQuiet, wallClock } from '../clock';
import { document } from '../documents';
import { figure } from '../measure/figure';
import { atMostTimes, type Goal, type Row } from '../measure/row';
import { type MonitoredEmulator } from '../peers/monitored-emulator';
import { QmpMonitor } from '../peers/qmp';

const name = 'events';
const steps = [
  ['suspend', 'STOP'],
  ['resume', 'RESUME'],
] as const;

/** Milliseconds of each event. */
interface Latencies {
  fromQemu: number[];
  fromCall: number[];
}

export const events: Benchmark = {
  name,
  doc: 'suspend and resume: QEMU event → subscriber and call → subscriber, p50 and p99, beside libvirtd',
  run: async (bench) => {
    const platform = await bench.platform();
    const libvirt = await bench.libvirt();
    const wall = wallClock();
    const uuid = await platform.define(monitoredDocument(platform.monitored));
    await platform.change('start', uuid);
    const qemu = await EventTimes.of(platform.monitored.socketOf(uuid), bench);
    const theirs = libvirt && { uuid: randomUUID(), name: 'bench-events' };
    if (theirs) await libvirt.define(monitoredDocument(libvirt.monitored, theirs.uuid));
    if (theirs) await libvirt.change('start', theirs.name);
    const itsQemu = theirs && (await EventTimes.of(libvirt.monitored.socketOf(theirs.uuid), bench));
    await machineIsQuiet();

    const ours: Latencies = { fromQemu: [], fromCall: [] };
    const replayable: Latencies = { fromQemu: [], fromCall: [] };
    const libvirts: Latencies = { fromQemu: [], fromCall: [] };
    for (let run = 0; run < bench.runs(200); run++) {
      for (const [command, event] of steps) {
        const happened = qemu.next(event);
        const timing = await platform.change(command, uuid);
        const time = await happened;
        ours.fromQemu.push((wall(timing.at) - time) * 1000);
        ours.fromCall.push(timing.event);
        replayable.fromQemu.push((wall(timing.replayedAt) - time) * 1000);
        replayable.fromCall.push(timing.replayed);
        if (!libvirt || !theirs || !itsQemu) continue;
        const itHappened = itsQemu.next(event);
        const other = await libvirt.change(command, theirs.name);
        libvirts.fromQemu.push((other.at - (await itHappened)) * 1000);
        libvirts.fromCall.push(other.event);
      }
    }
    await platform.change('destroy', uuid);
    await platform.undefine(uuid);
    if (theirs) await libvirt.change('destroy', theirs.name);
    if (theirs) await libvirt.undefine(theirs.name);
    const peer = libvirt && libvirts;
    return [
      ...rows('QEMU → subscriber', ours.fromQemu, peer?.fromQemu, atMostTimes(0.7)),
      ...rows('QEMU → stream reader', replayable.fromQemu, peer?.fromQemu),
      ...rows('call → subscriber', ours.fromCall, peer?.fromCall),
      ...rows('call → stream reader', replayable.fromCall, peer?.fromCall),
    ];
  },
};

/** The goal is for the p50. */
function rows(metric: string, ours: number[], peer: number[] | undefined, goal?: Goal): Row[] {
  const row = (q: number, goal?: Goal): Row => ({
    name,
    metric: `${metric}, p${q * 100}`,
    unit: 'ms',
    ours: figure(ours, q),
    peerName: 'libvirtd',
    peer: peer && figure(peer, q),
    goal,
  });
  return [row(0.5, goal), row(0.99)];
}

function monitoredDocument(emulator: MonitoredEmulator, uuid = randomUUID() as string): string {
  return document('bench-events', { uuid, devices: `<emulator>${emulator.path}</emulator>` });
}

/** QEMU's time stamps of its events, seconds since 1970. */
class EventTimes {
  private waiting: { event: string; resolve: (time: number) => void } | undefined;

  private constructor(monitor: QmpMonitor) {
    monitor.onEvent = (event, time) => {
      if (this.waiting?.event === event) this.waiting.resolve(time);
    };
  }

  static async of(socket: string, { cleanUp }: Bench): Promise<EventTimes> {
    const monitor = await QmpMonitor.open(socket);
    cleanUp.add('a monitor', () => monitor.close());
    return new EventTimes(monitor);
  }

  /** The next one: ask before it is caused. */
  next(event: string): Promise<number> {
    return new Promise((resolve) => (this.waiting = { event, resolve }));
  }
}
