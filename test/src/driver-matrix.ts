/**
 * The page that says which driver can do what, from what running drivers tell of themselves.
 *
 * `node test/dist/driver-matrix.js` starts a host of each driver and writes docs/reference/drivers.md.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listHosts, type HostStatus } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { checkout, Stack } from '@virtbus/testkit';

/** What each facet is for, in the words of the operations that need it. */
const operations: Readonly<Record<string, string>> = {
  agent: 'commands of the guest agent (`domain.agent`)',
  backup: 'backups, push and pull (`domain.backup-begin`)',
  blockJobs:
    'pulling, committing and copying images of a running guest (`domain.block-pull`, `domain.block-commit`, `domain.block-copy`)',
  checkpoints: 'marks for incremental backups (`domain.checkpoint-create`)',
  console: 'consoles (`domain.console`)',
  cpu: 'comparing and computing CPUs',
  devices: 'attaching, detaching and changing devices of a running guest',
  disks:
    'size, limits, write thresholds and errors of disks (`domain.block-resize`, `domain.set-blkdeviotune`, `domain.block-threshold`)',
  exec: 'commands inside, without an agent (`domain.exec`)',
  explain: 'telling what becomes of a definition',
  images: 'following the images under running disks',
  keyboard: 'pressing keys (`domain.send-key`)',
  memory: 'memory of a running guest (`domain.memory`)',
  migration: 'moving a running guest to another host (`domain.migrate`)',
  monitor: "the hypervisor's own monitor (`domain.qmp`)",
  native: "domains from and to the hypervisor's own configurations",
  power: 'asking the guest to shut down or reboot',
  reset: 'the reset button (`domain.reset`)',
  save: 'saving and restoring (`domain.save`, `domain.restore`, `domain.managed-save`)',
  screenshot: 'pictures of the screen (`domain.screenshot`)',
  snapshots: 'snapshots of disks and memory (`domain.snapshot-create`)',
  stats: 'statistics beyond what the definition tells',
  tuning:
    'limits of processor time, memory and block I/O of a running guest (`domain.set-schedinfo`, `domain.set-memtune`, `domain.set-blkiotune`)',
  vcpus: 'virtual CPUs of a running guest (`domain.vcpus`)',
};

type Told = Pick<HostStatus, 'driver' | 'facets' | 'virtTypes' | 'nativeFormats'>;

/** Markdown. Throws for a facet that nobody has described. */
export function driverMatrix(hosts: readonly Told[]): string {
  const drivers = [...new Map(hosts.map((host) => [host.driver, host])).values()].sort((a, b) =>
    b.driver.localeCompare(a.driver),
  );
  const facets = [...new Set(drivers.flatMap((driver) => driver.facets))].sort();
  const unknown = facets.filter((facet) => !Object.hasOwn(operations, facet));
  if (unknown.length > 0) throw new Error(`no words for the facets ${unknown.join(', ')} in driver-matrix.ts`);
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const names = drivers.map(({ driver }) => driver);
  return [
    '# What each driver can do',
    '',
    'Made from what running drivers tell of themselves (`node test/dist/driver-matrix.js`); a test fails when it is stale.',
    'Define, start, destroy, suspend, resume, events, adoption after a crash and autostart are in every driver:',
    'one conformance suite (`test/src/integration/driver-conformance.test.ts`) runs against all of them. What a driver has',
    'no facet for it answers with `UNSUPPORTED_BY_DRIVER`.',
    '',
    row(['facet', 'for', ...names]),
    row(['---', '---', ...names.map(() => '---')]),
    ...facets.map((facet) =>
      row([facet, operations[facet]!, ...drivers.map((driver) => (driver.facets.includes(facet) ? 'yes' : ''))]),
    ),
    row(['', 'native formats', ...drivers.map(({ nativeFormats }) => nativeFormats.join(', '))]),
    '',
  ].join('\n');
}

export const matrixPage = join(checkout, 'docs', 'reference', 'drivers.md');

/** What the drivers of a stack tell of themselves. */
export async function driversOf(stack: Stack): Promise<Told[]> {
  return (await call(await stack.connect(), listHosts, {})).hosts;
}

async function main(): Promise<void> {
  const stack = await Stack.start({ hosts: ['q'], lxcHosts: ['c'], testHosts: ['t'] });
  try {
    writeFileSync(matrixPage, driverMatrix(await driversOf(stack)));
  } finally {
    await stack[Symbol.asyncDispose]();
  }
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
}
