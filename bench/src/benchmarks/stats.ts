/** Statistics of 20 running guests in one call: state, processor, balloon, vcpus, network, disks. */
import { statsOfDomains } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { type Benchmark } from '../bench';
import { machineIsQuiet } from '../clock';
import { document } from '../documents';
import { figure } from '../measure/figure';
import { atMostTimes, type Row } from '../measure/row';

const name = 'stats';
const guests = 20;

export const stats: Benchmark = {
  name,
  doc: `statistics of ${guests} running guests, beside libvirt's bulk call`,
  run: async (bench) => {
    const platform = await bench.platform();
    const libvirt = await bench.libvirt();
    const names = Array.from({ length: guests }, (_, n) => `bench-stats-${n}`);
    const uuids: string[] = [];
    for (const one of names) {
      const xml = document(one, { memoryMib: 32 });
      const uuid = await platform.define(xml);
      uuids.push(uuid);
      await platform.change('start', uuid);
      await libvirt?.define(xml);
      await libvirt?.change('start', one);
    }
    await machineIsQuiet();
    const ours: number[] = [];
    const libvirts: number[] = [];
    for (let run = 0; run < bench.runs(30); run++) {
      const began = performance.now();
      const answer = await call(platform.bus, statsOfDomains, {});
      ours.push(performance.now() - began);
      complete('ours', answer.stats.length);
      const other = await libvirt?.stats();
      if (!other) continue;
      complete("libvirt's", other.count);
      libvirts.push(other.reply);
    }
    for (const uuid of uuids) {
      await platform.change('destroy', uuid);
      await platform.undefine(uuid);
    }
    for (const one of libvirt ? names : []) {
      await libvirt?.change('destroy', one);
      await libvirt?.undefine(one);
    }
    const row: Row = {
      name,
      metric: `${guests} running`,
      unit: 'ms',
      ours: figure(ours),
      peerName: 'libvirtd, getAllDomainStats',
      peer: libvirt && figure(libvirts),
      goal: atMostTimes(0.5),
    };
    return [row];
  },
};

function complete(whose: string, count: number): void {
  if (count !== guests) throw new Error(`${whose} statistics have ${count} of ${guests} guests`);
}
