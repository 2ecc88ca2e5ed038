/**
 * Commands through several copies of the domain service: suspend and resume of simulated guests, so many on their way at a
 * time. Beside it the same commands to the drivers themselves, without the service between.
 */
import { resumeDomain, startDomain, suspendDomain, type Contract, type DomainSummary } from '@virtbus/shared';
import { call, callDriver, newId, type Bus } from '@virtbus/shared/bus';
import { type Stack } from '@virtbus/testkit';
import { type Bench } from '../bench';
import { machineIsQuiet } from '../clock';
import { figure } from '../measure/figure';
import { type Row } from '../measure/row';
import { defineMany, inTurn } from './simulated-domains';

const copies = [1, 2, 4];
/** Commands on their way at a time, each to a domain of its own. */
const width = 32;
/** Commands of one measurement. */
const commands = 4_000;

type Command = (domain: DomainSummary, change: Contract) => Promise<unknown>;

interface Load {
  perSecond: number;
  latencies: number[];
}

export async function commandRows(bench: Bench, stack: Stack): Promise<Row[]> {
  const [client, service] = [await stack.connect('operator'), await stack.connect('service')];
  const domains: DomainSummary[] = [];
  for (const uuid of await defineMany(await stack.connect(), width)) {
    domains.push((await call(client, startDomain, {}, { target: uuid })).domain);
  }
  const rows: Row[] = [];
  for (const count of copies) {
    while (stack.domainServices.length < count) await stack.startDomainService();
    await machineIsQuiet();
    const ours = await loads(bench, domains, throughService(client));
    const direct = await loads(bench, domains, directly(service));
    const common = { name: 'bus', peerName: 'the drivers, asked directly' };
    const metric = (what: string): string =>
      `${what}, ${count} ${count === 1 ? 'copy' : 'copies'} of the domain service`;
    const quantileOf = (all: Load[], q: number) =>
      figure(
        all.flatMap(({ latencies }) => latencies),
        q,
      );
    rows.push(
      {
        ...common,
        metric: metric('commands a second'),
        unit: '/s',
        ours: figure(ours.map(({ perSecond }) => perSecond)),
        peer: figure(direct.map(({ perSecond }) => perSecond)),
      },
      { ...common, metric: metric('p50'), unit: 'ms', ours: quantileOf(ours, 0.5), peer: quantileOf(direct, 0.5) },
      { ...common, metric: metric('p99'), unit: 'ms', ours: quantileOf(ours, 0.99), peer: quantileOf(direct, 0.99) },
    );
  }
  return rows;
}

async function loads(bench: Bench, domains: readonly DomainSummary[], command: Command): Promise<Load[]> {
  const found: Load[] = [];
  for (let run = 0; run < bench.runs(3); run++) found.push(await load(domains, command));
  return found;
}

async function load(domains: readonly DomainSummary[], command: Command): Promise<Load> {
  const latencies: number[] = [];
  const each = commands / domains.length / 2;
  const began = performance.now();
  await inTurn(domains.length, domains.length, async (n) => {
    for (let pair = 0; pair < each; pair++) {
      for (const change of [suspendDomain, resumeDomain]) {
        const sent = performance.now();
        await command(domains[n]!, change);
        latencies.push(performance.now() - sent);
      }
    }
  });
  return { perSecond: (latencies.length * 1_000) / (performance.now() - began), latencies };
}

const throughService =
  (bus: Bus): Command =>
  ({ uuid }, change) =>
    call(bus, change, {}, { target: uuid });

const directly =
  (bus: Bus): Command =>
  ({ uuid, host, driver, epoch }, change) =>
    callDriver(bus, { host, driver }, change, {}, { id: newId(), domain: uuid, epoch });
