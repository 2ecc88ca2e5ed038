/**
 * A host with the unified hierarchy alone (cgroup v2): what is read from it and written to it, on plain files laid out as
 * the kernel lays them out. This machine's own cgroups are the other tests'.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseDomain, type Domain } from '@virtbus/domain-xml';
import { StatsGroup } from '@virtbus/shared';
import { silent } from '@virtbus/shared/log';
import { cgroupPaths, HostCgroups } from './cgroups';
import { holdTo } from './facets/limits';
import { stats } from './facets/stats';
import { tuningFacet } from './facets/tuning';
import { freeze, isFrozen } from './freezer';
import type { LxcGuest } from './guest';
import type { Machine } from './machine';

const { payload } = cgroupPaths('ab12', 'c1');
let mount: string;
beforeEach(() => (mount = mkdtempSync(join(tmpdir(), 'vb-v2-'))));
afterEach(() => rmSync(mount, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(mount, path)), { recursive: true });
  writeFileSync(join(mount, path), text);
}
const at = (file: string): string => readFileSync(join(mount, payload, file), 'utf8');

/** A container on such a host: 64 MiB, of which it uses 8. */
function container(): { guest: LxcGuest; machine: Machine } {
  put('cgroup.controllers', 'cpuset cpu io memory pids\n');
  put('virtbus-lxc/io.weight', 'default 100\n');
  put('virtbus-lxc/memory.swap.max', 'max\n');
  const files: Record<string, string> = {
    'memory.current': '8388608\n',
    'memory.max': '67108864\n',
    'memory.high': 'max\n',
    'memory.swap.max': 'max\n',
    'memory.stat': 'anon 4194304\nfile 2097152\npgfault 1234\npgmajfault 5\n',
    'memory.events': 'low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n',
    'cpu.weight': '100\n',
    'cpu.max': 'max 100000\n',
    'cpu.stat': 'usage_usec 2000000\nuser_usec 1500000\nsystem_usec 500000\n',
    'io.weight': 'default 100\n',
    'io.stat': '254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n',
    'io.max': '',
    'cgroup.events': 'populated 1\nfrozen 1\n',
    'cgroup.freeze': '0\n',
  };
  for (const [file, text] of Object.entries(files)) put(join(payload, file), text);
  const cgroups = HostCgroups.read(`31 24 0:27 / ${mount} rw - cgroup2 cgroup2 rw,nsdelegate`, '0::/init.scope\n');
  const text = `<domain type='lxc'><name>c1</name><memory unit='MiB'>64</memory><os><type>exe</type><init>/i</init></os></domain>`;
  const live = parseDomain(text, { mode: 'inactive' }).domain;
  const guest = { live, cgroup: cgroups.container(payload), log: silent } as unknown as LxcGuest;
  return { guest, machine: { capabilities: { cgroups: cgroups.facts() } } as unknown as Machine };
}

test('every controller is found on it, with weights and swap', () => {
  const { machine } = container();
  const { versions, swap, blkioWeight } = machine.capabilities.cgroups;
  expect(new Set(Object.values(versions))).toEqual(new Set([2]));
  expect(Object.keys(versions)).toHaveLength(8);
  expect({ swap, blkioWeight }).toEqual({ swap: true, blkioWeight: 'io.weight' });
});

test('statistics come from its files', async () => {
  const { guest } = container();
  const told = await stats.collect(
    guest,
    new Set(StatsGroup.options.filter((group) => group !== 'net')),
    AbortSignal.timeout(1_000),
  );
  expect(told.cpu).toEqual({ timeNs: 2e9, userNs: 1.5e9, systemNs: 0.5e9 });
  expect(told.balloon).toMatchObject({ rssKiB: 4096, minorFaults: 1234, majorFaults: 5, unusedKiB: 57_344 });
  expect(told.block).toMatchObject([{ read: { requests: 1, bytes: 4096 }, write: { requests: 2, bytes: 8192 } }]);
});

test('the freezer is a file of the container’s own cgroup', async () => {
  const { guest } = container();
  await freeze(guest.cgroup);
  expect(at('cgroup.freeze')).toBe('1');
  put(join(payload, 'cgroup.events'), 'populated 1\nfrozen 0\n');
  expect(isFrozen(guest.cgroup)).toBe(false);
});

test('what is not there, or goes meanwhile, is not frozen, and that is told at once', async () => {
  const { guest } = container();
  const refused = 'the container is rebooting or has ended';
  await expect(freeze(guest.cgroup, undefined, () => false)).rejects.toThrow(refused);
  expect(at('cgroup.freeze')).toBe('0');
  put(join(payload, 'cgroup.events'), 'populated 1\nfrozen 0\n');
  let looks = 0;
  await expect(freeze(guest.cgroup, undefined, () => ++looks < 5)).rejects.toThrow(refused);
  expect(at('cgroup.freeze')).toBe('0');
  rmSync(join(mount, payload), { recursive: true });
  await expect(freeze(guest.cgroup)).rejects.toThrow(refused);
});

test('limits are told as it has them', () => {
  const { guest, machine } = container();
  expect(tuningFacet(machine).read(guest)).toEqual({
    cpu: { shares: 1024, periodUs: 100_000, quotaUs: -1 },
    memory: { hardKiB: 65_536, softKiB: null, swapHardKiB: null },
    blockIo: { weight: 100, devices: [] },
  });
  put(join(payload, 'cpu.max'), '50000 100000\n');
  put(join(payload, 'memory.swap.max'), '33554432\n');
  expect(tuningFacet(machine).read(guest)).toMatchObject({ cpu: { quotaUs: 50_000 }, memory: { swapHardKiB: 98_304 } });
});

const cputune = (more: object): Domain['cputune'] => ({
  ...{ vcpupins: [], iothreadpins: [], vcpuscheds: [], iothreadscheds: [], cachetunes: [], memorytunes: [] },
  ...more,
});

test('limits are written in its words: a weight for shares, one file for quota and period, swap by itself', () => {
  const { guest, machine } = container();
  holdTo(guest, machine, {
    ...guest.live,
    cputune: cputune({ shares: 512, quota: 50_000 }),
    memtune: { hard_limit: 32_768, soft_limit: 16_384, swap_hard_limit: 49_152 },
    blkiotune: { weight: 500, devices: [] },
  });
  expect(at('cpu.weight')).toBe('50');
  expect(at('cpu.max')).toBe('50000 100000');
  expect(at('memory.max')).toBe(String(32 << 20));
  expect(at('memory.high')).toBe(String(16 << 20));
  expect(at('memory.swap.max')).toBe(String(16 << 20));
  expect(at('io.weight')).toBe('500');
  holdTo(guest, machine, { ...guest.live, cputune: cputune({ shares: 512, quota: -1 }) });
  expect(at('cpu.max')).toBe('max 100000');
});

test('less memory than is in use is refused, where the kernel would kill for it', () => {
  const { guest, machine } = container();
  const tuned = { ...guest.live, memtune: { hard_limit: 4_096 }, cputune: cputune({ shares: 512 }) };
  expect(() => holdTo(guest, machine, tuned)).toThrow('uses 8192 KiB of memory; it cannot be limited to 4096 KiB');
  expect(at('cpu.weight')).toBe('100\n');
});

test('between two boots there is nothing to limit', () => {
  const { guest, machine } = container();
  rmSync(join(mount, payload), { recursive: true });
  const refused = expect.objectContaining({
    code: 'OPERATION_INVALID',
    message: expect.stringMatching(/the container is rebooting or has ended$/) as string,
  }) as Error;
  expect(() => holdTo(guest, machine, { ...guest.live, cputune: cputune({ shares: 512 }) })).toThrow(refused);
});

test('a limit that cannot be written puts back those that were', () => {
  const { guest, machine } = container();
  holdTo(guest, machine, { ...guest.live, cputune: cputune({ shares: 256 }) });
  rmSync(join(mount, payload, 'io.weight'));
  mkdirSync(join(mount, payload, 'io.weight'));
  const tuned = { ...guest.live, cputune: cputune({ shares: 512 }), blkiotune: { weight: 500, devices: [] } };
  expect(() => holdTo(guest, machine, tuned)).toThrow('cannot set io.weight to 500');
  expect(at('cpu.weight')).toBe('25');
  expect(guest.live.cputune?.shares).toBe(256);
});
