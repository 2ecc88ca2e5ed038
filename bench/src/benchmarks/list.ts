/** The list of 500 defined domains, each with its state. */
import { listDomains } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { type Bench, type Benchmark } from '../bench';
import { document } from '../documents';
import { figure } from '../measure/figure';
import { atMostTimes, type Row } from '../measure/row';

const name = 'list';
const domains = 500;
/** Defined at the same time. */
const inParallel = 8;

export const list: Benchmark = {
  name,
  doc: `list ${domains} domains with their state, beside libvirt's bulk call`,
  run: async (bench) => {
    const { bus, ...platform } = await ourDomains(bench);
    const libvirt = await bench.libvirt();
    const theirs: string[] = [];
    for (let n = 0; libvirt && n < domains; n++)
      theirs.push(await libvirt.define(document(`bench-list-${n}`, { memoryMib: 8 })));
    const ours: number[] = [];
    const libvirts: number[] = [];
    for (let run = 0; run < bench.runs(50); run++) {
      const began = performance.now();
      const answer = await call(bus, listDomains, {});
      ours.push(performance.now() - began);
      complete('our list', answer.domains.length);
      const other = await libvirt?.list();
      if (!other) continue;
      complete("libvirt's list", other.count);
      libvirts.push(other.reply);
    }
    await platform.undefineAll();
    for (const one of theirs) await libvirt?.undefine(one);
    const row: Row = {
      name,
      metric: `${domains} with state`,
      unit: 'ms',
      ours: figure(ours),
      peerName: 'libvirtd, getAllDomainStats(state)',
      peer: libvirt && figure(libvirts),
      goal: atMostTimes(1),
    };
    return [row];
  },
};

async function ourDomains(bench: Bench) {
  const platform = await bench.platform();
  const uuids: string[] = [];
  const each = async (work: (n: number) => Promise<unknown>): Promise<void> => {
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < domains) await work(next++);
    };
    await Promise.all(Array.from({ length: inParallel }, worker));
  };
  await each(async (n) => uuids.push(await platform.define(document(`bench-list-${n}`, { memoryMib: 8 }))));
  return { bus: platform.bus, undefineAll: () => each((n) => platform.undefine(uuids[n]!)) };
}

function complete(what: string, count: number): void {
  if (count !== domains) throw new Error(`${what} has ${count} of ${domains} domains`);
}
