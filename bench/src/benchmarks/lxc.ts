/** Containers: start and kill beside liblxc's own programs, and a host that runs a hundred of them. */
import { mkdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineDomain, destroyDomain, listDomains, startDomain, statsOfDomains, undefineDomain } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { needsContainers, Stack, tinyRootfs } from '@virtbus/testkit';
import { type Bench, type Benchmark } from '../bench';
import { machineIsQuiet } from '../clock';
import { figure } from '../measure/figure';
import { atMost, atMostTimes, type Row } from '../measure/row';
import { BareLxc } from '../peers/bare-lxc';
import { type LibvirtContainers } from '../peers/libvirt';

const name = 'lxc';
const many = 100;

/**
 * Before each start, whoever's it is, milliseconds. The first process that is moved into another cgroup after a while waits
 * for a grace period of RCU, some 10 ms, and for a moment afterwards nobody does (Linux, kernel/rcu/sync.c): without a
 * pause the one who starts right after another is spared what the other has paid for.
 */
const betweenStartsMs = 100;

export const lxc: Benchmark = {
  name,
  doc: `containers: start and kill beside lxc-start, lxc-wait and lxc-stop, and beside libvirt's driver; list, statistics and memory with ${many} running`,
  run: async (bench) => {
    const { met, name: needs } = needsContainers();
    if (!met) {
      console.error(`lxc: not here: needs ${needs}`);
      return [];
    }
    const starting = Stack.start({ hosts: [], lxcHosts: ['b1'] });
    bench.cleanUp.add('the LXC host', async () => (await starting.catch(() => undefined))?.[Symbol.asyncDispose]());
    const stack = await starting;
    const bus = await stack.connect();
    return [...(await lives(bench, stack, bus)), ...(await crowd(bench, stack, bus))];
  },
};

async function lives(bench: Bench, stack: Stack, bus: Bus): Promise<Row[]> {
  const root = await tinyRootfs(bench.folder.file('rootfs'));
  const xml = await stack.containerXml({ name: 'bench', root });
  const { domain } = await call(bus, defineDomain, { xml });
  const target = { target: domain.uuid };
  const ours = { start: [] as number[], kill: [] as number[] };
  const bare = { start: [] as number[], kill: [] as number[] };
  const theirs = { start: [] as number[], kill: [] as number[] };
  const libvirt = await bench.libvirtContainers();
  const theirName = await libvirt?.define(xml);
  let twin: BareLxc | undefined;
  const folder = bench.folder.file('lxc');
  mkdirSync(folder, { recursive: true });
  // One more than asked: the first, with cold caches, is not counted.
  for (let run = 0; run <= bench.runs(25); run++) {
    await sleep(betweenStartsMs);
    const start = await timed(() => call(bus, startDomain, {}, target));
    twin ??= BareLxc.twinOf(stack.supervisorOf(domain.uuid), folder, root);
    const kill = await timed(() => call(bus, destroyDomain, {}, target));
    await sleep(betweenStartsMs);
    const other = await twin.life();
    await sleep(betweenStartsMs);
    const third = theirName && libvirt && (await libvirtLife(libvirt, theirName));
    if (run === 0) continue;
    if (third) theirs.start.push(third.start);
    if (third) theirs.kill.push(third.kill);
    ours.start.push(start);
    ours.kill.push(kill);
    bare.start.push(other.start);
    bare.kill.push(other.kill);
  }
  await call(bus, undefineDomain, {}, target);
  if (theirName) await libvirt?.undefine(theirName);
  const start = { name, metric: 'start → reply', unit: 'ms', ours: figure(ours.start) };
  const kill = { name, metric: 'destroy → reply', unit: 'ms', ours: figure(ours.kill) };
  return [
    { ...start, peerName: 'lxc-start and lxc-wait', peer: figure(bare.start), goal: atMostTimes(1.3) },
    { ...start, peerName: "libvirt's driver", peer: libvirt && figure(theirs.start), goal: atMostTimes(0.6) },
    { ...kill, peerName: 'lxc-stop -k', peer: figure(bare.kill), goal: atMost(25, 'ms') },
    { ...kill, peerName: "libvirt's driver", peer: libvirt && figure(theirs.kill), goal: atMostTimes(0.2) },
  ];
}

async function libvirtLife(libvirt: LibvirtContainers, container: string): Promise<{ start: number; kill: number }> {
  const { reply: start } = await libvirt.change('start', container);
  const { reply: kill } = await libvirt.change('destroy', container);
  return { start, kill };
}

async function crowd(bench: Bench, stack: Stack, bus: Bus): Promise<Row[]> {
  const uuids: string[] = [];
  for (let n = 0; n < many; n++) uuids.push((await stack.runContainer(bus, { name: `crowd${n}` })).uuid);
  await machineIsQuiet();
  const times = { list: [] as number[], stats: [] as number[] };
  for (let run = 0; run < bench.runs(25); run++) {
    times.list.push(await timed(async () => count((await call(bus, listDomains, { active: true })).domains)));
    times.stats.push(await timed(async () => count((await call(bus, statsOfDomains, {})).stats)));
  }
  const memory = residentMib(stack.drivers.get('b1')!.pid);
  await Promise.all(uuids.map((uuid) => call(bus, destroyDomain, {}, { target: uuid })));
  const peerName = 'nobody';
  return [
    { name, metric: `list, ${many} running`, unit: 'ms', ours: figure(times.list), peerName, goal: atMost(50, 'ms') },
    {
      name,
      metric: `statistics, ${many} running`,
      unit: 'ms',
      ours: figure(times.stats),
      peerName,
      goal: atMost(50, 'ms'),
    },
    {
      name,
      metric: `driver's memory, ${many} running`,
      unit: 'MiB',
      ours: figure([memory]),
      peerName,
      goal: atMost(150, 'MiB'),
    },
  ];
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function count(found: readonly unknown[]): void {
  if (found.length !== many) throw new Error(`${found.length} of ${many} containers are told of`);
}

function residentMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}
