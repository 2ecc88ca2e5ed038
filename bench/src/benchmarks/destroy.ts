/** Cutting the power: from the command to its answer, when the process is gone. */
import { type Benchmark } from '../bench';
import { document } from '../documents';
import { figure } from '../measure/figure';
import { atMostTimes } from '../measure/row';

const name = 'destroy';

export const destroy: Benchmark = {
  name,
  doc: 'destroy a running guest: command → reply and → `stopped` event, beside libvirtd',
  run: async (bench) => {
    const platform = await bench.platform();
    const libvirt = await bench.libvirt();
    const uuid = await platform.define(document('bench-destroy'));
    const theirs = await libvirt?.define(document('bench-destroy'));
    const ours = { reply: [] as number[], event: [] as number[] };
    const libvirts = { reply: [] as number[], event: [] as number[] };
    for (let run = 0; run < bench.runs(15); run++) {
      await platform.change('start', uuid);
      const one = await platform.change('destroy', uuid);
      ours.reply.push(one.reply);
      ours.event.push(one.event);
      if (!libvirt || !theirs) continue;
      await libvirt.change('start', theirs);
      const other = await libvirt.change('destroy', theirs);
      libvirts.reply.push(other.reply);
      libvirts.event.push(other.event);
    }
    await platform.undefine(uuid);
    if (theirs) await libvirt?.undefine(theirs);
    return (['reply', 'event'] as const).map((end) => ({
      name,
      metric: end === 'event' ? '→ `stopped`' : '→ reply',
      unit: 'ms',
      ours: figure(ours[end]),
      peerName: 'libvirtd',
      peer: libvirt && figure(libvirts[end]),
      goal: atMostTimes(0.15),
    }));
  },
};
