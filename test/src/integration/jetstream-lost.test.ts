/**
 * All of JetStream is put back as it was some time ago, and then lost altogether, while fifty guests and containers run: the
 * hosts are the truth, the fleet's books and the log of events follow them, and no guest notices.
 */
import {
  defineDomain,
  destroyDomain,
  listDomains,
  renameDomain,
  resumeDomain,
  startDomain,
  suspendDomain,
  undefineDomain,
  verifyFleet,
  type DomainSummary,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { eventually, needsContainers, Stack } from '@virtbus/testkit';

/** Of each kind. */
const many = 25;
const withContainers = needsContainers().met;

async function populate(stack: Stack, bus: Bus): Promise<DomainSummary[]> {
  const running: DomainSummary[] = [];
  for (let n = 0; n < many; n++) {
    running.push(await stack.run(bus, { name: `machine-${n}`, memoryMib: 16 }));
    running.push(
      withContainers
        ? await stack.runContainer(bus, { name: `container-${n}` })
        : await stack.run(bus, { name: `other-${n}`, memoryMib: 16 }),
    );
  }
  return running;
}

/** What the fleet says of itself when it is asked whether its books are right. */
async function verified(bus: Bus): Promise<string[]> {
  const { disagreements } = await call(bus, verifyFleet, {}, { timeoutMs: 60_000 });
  return disagreements.map(({ kind, what }) => `${kind}: ${what}`);
}

async function states(bus: Bus): Promise<Map<string, string>> {
  const { domains } = await call(bus, listDomains, { limit: 1_000 });
  return new Map(domains.map(({ uuid, name, state }) => [uuid, `${name} ${state}`]));
}

test('JetStream is restored from an old backup, then wiped, under fifty guests: everything agrees again, and no guest was touched', async () => {
  await using stack = await Stack.start({ lxcHosts: withContainers ? ['c1'] : [], domainServices: 2 });
  const bus = await stack.connect();
  const running = await populate(stack, bus);
  const backup = stack.folder.file('backup');
  await stack.nats.backUp(backup);
  await stack.hostsOnline(stack.drivers.size);

  // What happens after the backup, and is not in it.
  const [renamed, ended, paused, again] = running as [DomainSummary, DomainSummary, DomainSummary, DomainSummary];
  for (const { uuid } of [renamed, ended]) await call(bus, destroyDomain, {}, { target: uuid });
  await call(bus, renameDomain, { name: 'renamed' }, { target: renamed.uuid });
  await call(bus, startDomain, {}, { target: renamed.uuid });
  await call(bus, undefineDomain, {}, { target: ended.uuid });
  await call(bus, suspendDomain, {}, { target: paused.uuid });
  await call(bus, suspendDomain, {}, { target: again.uuid });
  await call(bus, resumeDomain, {}, { target: again.uuid });
  await stack.run(bus, { name: 'younger', memoryMib: 16 });
  const xml = await stack.domainXml({ name: 'youngest', memoryMib: 16 });
  await call(bus, defineDomain, { xml });
  await stack.events(bus);
  const [before, processes] = [await states(bus), pids(stack)];
  const toldBefore = await told(stack, bus);

  // Sooner than hosts are looked at without a reason, which heals it, too.
  await stack.nats.restoreFrom(backup);
  await stack.hostsOnline(stack.drivers.size);
  await eventually(() => states(bus), before, { timeoutMs: 45_000, intervalMs: 500 });
  await eventually(() => verified(bus), [], { timeoutMs: 45_000, intervalMs: 500 });
  await eventually(() => told(stack, bus), toldBefore, { timeoutMs: 45_000, intervalMs: 500 });

  await stack.nats.wipe();
  await stack.hostsOnline(stack.drivers.size);
  await eventually(() => states(bus), before, { timeoutMs: 60_000, intervalMs: 500 });
  await eventually(() => verified(bus), [], { timeoutMs: 60_000, intervalMs: 500 });
  await eventually(() => told(stack, bus), toldBefore, { timeoutMs: 60_000, intervalMs: 500 });

  expect(pids(stack)).toEqual(processes);
  // The fleet is one that takes commands, and remembers what was said after the backup.
  await call(bus, startDomain, {}, { target: 'youngest' });
  await call(bus, resumeDomain, {}, { target: paused.uuid });
  expect((await states(bus)).get(renamed.uuid)).toBe('renamed running');
}, 300_000);

/** Each domain's story as it can be replayed. */
async function told(stack: Stack, bus: Bus): Promise<string[]> {
  const events = (await stack.events(bus)).filter((event) => event.class === 'lifecycle');
  return events.map(({ domain, type }) => `${domain.uuid} ${domain.epoch}.${domain.revision} ${type}`).sort();
}

/** The processes of all guests and containers. */
function pids(stack: Stack): number[] {
  return [...stack.guestPids(), ...stack.containerPids()].sort((a, b) => a - b);
}
