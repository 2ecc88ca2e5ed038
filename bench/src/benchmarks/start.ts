/** From the command to its answer, and to the `started` event at a subscriber, beside bare QEMU and libvirtd. */
import { truncateSync, writeFileSync } from 'node:fs';
import { type Bench, type Benchmark } from '../bench';
import { document, ordinaryDevices } from '../documents';
import { figure } from '../measure/figure';
import { atMostPlus, atMostTimes, type Row } from '../measure/row';
import { bareTwinOf, timeBareStart, type BareQemu } from '../peers/bare-qemu';

const diskBytes = 16 * 1024 * 1024;
const name = 'start';

export const start: Benchmark = {
  name,
  doc: 'start a guest: command → reply and → `started` event, beside bare QEMU with the same options and libvirtd',
  run: async (bench) => [
    ...(await measure(bench, 'no device', () => '')),
    ...(await measure(bench, 'disk, net, VNC', (side) => ordinaryDevices(makeDisk(bench, side)))),
  ],
};

async function measure(bench: Bench, what: string, devices: (side: string) => string): Promise<Row[]> {
  const platform = await bench.platform();
  const libvirt = await bench.libvirt();
  const uuid = await platform.define(document('bench-start', { devices: devices('ours') }));
  const theirs = await libvirt?.define(document('bench-start', { devices: devices('theirs') }));
  const ours = { reply: [] as number[], event: [] as number[] };
  const libvirts = { reply: [] as number[], event: [] as number[] };
  const bare: number[] = [];
  let twin: BareQemu | undefined;
  const runs = bench.runs(15);
  // One more than asked: the first, with cold caches, is not counted.
  for (let run = 0; run <= runs; run++) {
    const one = await platform.change('start', uuid);
    twin ??= bareTwinOf(platform.stack.pidOf(uuid), bench.folder.file('bare.sock'));
    await platform.change('destroy', uuid);
    const floor = await timeBareStart(twin, bench.cleanUp);
    const other = theirs && (await libvirt?.change('start', theirs));
    if (theirs) await libvirt?.change('destroy', theirs);
    if (run === 0) continue;
    ours.reply.push(one.reply);
    ours.event.push(one.event);
    bare.push(floor);
    if (other) libvirts.reply.push(other.reply);
    if (other) libvirts.event.push(other.event);
  }
  await platform.undefine(uuid);
  if (theirs) await libvirt?.undefine(theirs);
  return (['reply', 'event'] as const).flatMap((end) => {
    const row = {
      name,
      metric: `→ ${end === 'event' ? '`started`' : end}, ${what}`,
      unit: 'ms',
      ours: figure(ours[end]),
    };
    const peer = libvirt && figure(libvirts[end]);
    return [
      { ...row, peerName: 'bare QEMU', peer: figure(bare), goal: atMostPlus(35, 'ms') },
      { ...row, peerName: 'libvirtd', peer, goal: atMostTimes(0.2) },
    ];
  });
}

/** An image of a side's own: each lends it to the user that its guests run as. */
function makeDisk(bench: Bench, side: string): string {
  const path = bench.folder.file(`${side}.img`);
  writeFileSync(path, '');
  truncateSync(path, diskBytes);
  return path;
}
