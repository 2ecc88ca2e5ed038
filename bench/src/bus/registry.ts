/** A registry of ten thousand domains: how soon a copy of the domain service that starts answers, the full list, its memory. */
import { readFileSync } from 'node:fs';
import { listDomains } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { type Stack } from '@virtbus/testkit';
import { type Bench } from '../bench';
import { machineIsQuiet } from '../clock';
import { figure } from '../measure/figure';
import { atMost, type Row } from '../measure/row';
import { defineMany } from './simulated-domains';

const domains = 10_000;

export async function registryRows(bench: Bench, stack: Stack): Promise<Row[]> {
  const bus = await stack.connect();
  await defineMany(bus, domains);
  const starts: number[] = [];
  const memory: number[] = [];
  const lists: number[] = [];
  for (let run = 0; run < bench.runs(3); run++) {
    await stack.domainServices.pop()!.stop();
    await machineIsQuiet();
    const began = performance.now();
    const starting = stack.startDomainService();
    await untilAnswered(bus);
    starts.push(performance.now() - began);
    const copy = await starting;
    for (let n = 0; n < 5; n++) {
      const asked = performance.now();
      await list(bus);
      lists.push(performance.now() - asked);
    }
    memory.push(residentMib(copy.pid));
  }
  const common = { name: 'bus', peerName: 'nobody' };
  const of = `${domains} domains`;
  return [
    { ...common, metric: `start to first answer, ${of}`, unit: 'ms', ours: figure(starts), goal: atMost(3_000, 'ms') },
    { ...common, metric: `full list, ${of}`, unit: 'ms', ours: figure(lists), goal: atMost(300, 'ms') },
    {
      ...common,
      metric: `domain service's memory, ${of}`,
      unit: 'MiB',
      ours: figure(memory),
      goal: atMost(400, 'MiB'),
    },
  ];
}

async function list(bus: Bus): Promise<void> {
  const { domains: told } = await call(bus, listDomains, { limit: domains });
  if (told.length !== domains) throw new Error(`${told.length} of ${domains} domains are told of`);
}

/** Nobody listens until the copy serves. */
async function untilAnswered(bus: Bus): Promise<void> {
  for (;;) {
    try {
      await call(bus, listDomains, { limit: 1 });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

function residentMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}
