/** The settler between a driver and a storage service that say what a test has them say. */
import { driverSubject, VirtError, type DomainEvent, type Inventory } from '@virtbus/shared';
import { decode, encode, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { eventually } from '@virtbus/testkit';
import type { FleetLeases } from './fleet-leases';
import { Settler } from './settle';

const uuid = '00000000-0000-4000-8000-000000000001';
const lease = { identity: 'file:1:2', path: '/a', mode: 'exclusive', target: 'vda', fleet: false };
const holds = [{ claim: 'c', leases: [lease] }];

type Answer = (request: Record<string, unknown>) => unknown;

/** One host, and what the settler did there and for the fleet, in order. */
class Stand {
  readonly did: string[] = [];
  readonly troubles: unknown[] = [];
  readonly settler: Settler;
  revision = 7;
  driver: Answer = () => ({
    ...{ known: true, since: 0, name: 'g', epoch: 1, revision: this.revision, active: true },
    ...{ definition: [], live: ['<disk/>'], uses: [{ claim: 'c', target: 'vda' }] },
  });
  storage: Answer = () => ({ released: [], holds, differs: [] });
  jobs: Answer = () => ({ jobs: [] });
  held: Answer = () => ({ holders: [] });
  /** What stands in the fleet's book. */
  before: {
    key: string;
    revision: number;
    value: { identity: string; holder: { domain: string; host: string; driver?: string } };
  }[] = [];

  constructor() {
    const answers: Record<string, () => Answer> = {
      [driverSubject('h1', 'qemu', 'storage')]: () => this.driver,
      [driverSubject('h1', 'qemu', 'block-jobs')]: () => this.jobs,
      [driverSubject('h1', 'storage', 'settle')]: () => this.storage,
      [driverSubject('h1', 'storage', 'leases')]: () => this.held,
    };
    const bus = {
      settling: () => false,
      connected: () => true,
      onReconnect: () => () => undefined,
      bodies: { outgoing: (body: Uint8Array) => body, incoming: (body: Uint8Array) => body },
      nc: {
        isClosed: () => false,
        request: async (subject: string, body: Uint8Array) => {
          const request = decode(body) as Record<string, unknown>;
          this.did.push(`${subject.split('.').slice(-2).join(' ')}${request.sure === true ? ' for sure' : ''}`);
          const answer = answers[subject];
          if (!answer) throw new Error(`nobody is at ${subject}`);
          return { data: encode(await answer()(request), 'msgpack') };
        },
      },
    } as unknown as Bus;
    const leases = {
      drop: async (_on: unknown, identities: string[]) =>
        void (identities.length > 0 && this.did.push(`fleet drops ${identities.join()}`)),
      hold: async () => {
        this.did.push('fleet holds');
        return [];
      },
      all: async () => this.before,
      dropAsRead: async (entries: readonly { key: string }[]) =>
        void (entries.length > 0 && this.did.push(`fleet drops ${entries.map(({ key }) => key).join()}`)),
      take: async (holder: { name: string }) => [{ lease, holder: { ...holder, name: 'other' } }],
    } as unknown as FleetLeases;
    const log = {
      debug: () => undefined,
      error: (fields: unknown) => this.troubles.push(fields),
    } as unknown as Log;
    this.settler = new Settler(bus, leases, log);
  }

  happens(kind: string, type: string): void {
    const domain = { uuid, host: 'h1', driver: 'qemu' };
    this.settler.happened({ class: kind, type, domain } as unknown as DomainEvent);
  }

  async until(what: (did: readonly string[]) => boolean): Promise<void> {
    await eventually(() => this.did, what, { timeoutMs: 30_000 });
  }
}

const count = (did: readonly string[], what: string): number => did.filter((one) => one === what).length;

test('storage hears what the driver says, and the fleet what comes of it, which is not said twice', async () => {
  const stand = new Stand();
  stand.storage = () => ({ released: ['file:1:9'], holds, differs: [] });
  stand.happens('block-job', 'completed');
  await stand.until((did) => did.includes('fleet holds'));
  expect(stand.did).toEqual(['qemu storage', 'storage settle', 'fleet drops file:1:9', 'fleet holds']);
  stand.happens('snapshot', 'created');
  await stand.until((did) => count(did, 'fleet drops file:1:9') === 2);
  expect(count(stand.did, 'fleet holds')).toBe(1);
});

test('a guest on its way to the host settles nothing: it lives elsewhere', async () => {
  const stand = new Stand();
  const arrived = stand.driver;
  stand.driver = (request) => ({ ...(arrived(request) as object), incoming: true });
  stand.happens('block-job', 'completed');
  await stand.until((did) => did.includes('qemu storage'));
  stand.driver = arrived;
  stand.happens('block-job', 'completed');
  await stand.until((did) => did.includes('fleet holds'));
  expect(stand.did.slice(0, 3)).toEqual(['qemu storage', 'qemu storage', 'storage settle']);
});

test('the fleet is told anew of what a domain holds under another epoch', async () => {
  const stand = new Stand();
  const before = stand.driver;
  stand.happens('block-job', 'completed');
  await stand.until((did) => did.includes('fleet holds'));
  stand.driver = (request) => ({ ...(before(request) as object), epoch: 2 });
  stand.happens('block-job', 'completed');
  await stand.until((did) => count(did, 'fleet holds') === 2);
});

test('what changes no images settles nothing', async () => {
  const stand = new Stand();
  stand.happens('lifecycle', 'suspended');
  stand.happens('block-job', 'ready');
  stand.happens('snapshot', 'created');
  await stand.until((did) => did.includes('fleet holds'));
  expect(count(stand.did, 'qemu storage')).toBe(1);
});

test('a look at the driver that is overtaken by what happens is taken anew', async () => {
  const stand = new Stand();
  const answer = stand.driver;
  // A driver that was killed over the question never answers it.
  stand.driver = () => new Promise(() => undefined);
  stand.happens('block-job', 'completed');
  await stand.until((did) => did.includes('qemu storage'));
  stand.driver = answer;
  stand.happens('block-job', 'completed');
  await stand.until((did) => did.includes('fleet holds'));
});

test('what happens while storage is told is told after that', async () => {
  const stand = new Stand();
  let answered = (): void => undefined;
  stand.storage = () => new Promise((resolve) => (answered = () => resolve({ released: [], holds: [], differs: [] })));
  stand.happens('snapshot', 'created');
  await stand.until((did) => did.includes('storage settle'));
  stand.happens('snapshot', 'deleted');
  stand.storage = () => ({ released: [], holds, differs: [] });
  answered();
  await stand.until((did) => did.includes('fleet holds'));
  expect(count(stand.did, 'storage settle')).toBe(2);
});

test('a storage service that is away is told later', async () => {
  const stand = new Stand();
  const answer = stand.storage;
  stand.storage = () => {
    throw new VirtError('HOST_OFFLINE', { host: 'h1', service: 'storage' });
  };
  stand.happens('job', 'completed');
  await stand.until((did) => did.includes('storage settle'));
  stand.storage = answer;
  await stand.until((did) => did.includes('fleet holds'));
});

test('images that storage cannot read are looked at less and less often, until they are read', async () => {
  jest.useFakeTimers();
  try {
    const stand = new Stand();
    stand.storage = () => ({ released: [], holds, unread: ['vda'], differs: [] });
    const looks = async (seconds: number): Promise<number> => {
      const before = count(stand.did, 'storage settle');
      await jest.advanceTimersByTimeAsync(seconds * 1_000);
      return count(stand.did, 'storage settle') - before;
    };
    stand.happens('block-job', 'completed');
    expect(await looks(10)).toBe(4);
    await looks(170);
    expect(await looks(600)).toBeLessThanOrEqual(10);
    stand.storage = () => ({ released: [], holds, differs: [] });
    expect(await looks(61)).toBe(1);
    expect(await looks(600)).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});

test('what images say otherwise is told for sure only when the domain is as it was and no job is at its disk', async () => {
  const stand = new Stand();
  stand.storage = ({ sure }) => ({ released: [], holds: [], differs: sure === true ? [] : ['vda'] });
  stand.jobs = () => ({ jobs: [{ disk: 'vda' }] });
  stand.happens('block-job', 'completed');
  await stand.until((did) => did.includes('qemu block-jobs'));
  stand.jobs = () => ({ jobs: [] });
  stand.happens('block-job', 'completed');
  await stand.until((did) => did.includes('storage settle for sure'));
  expect(stand.did.indexOf('storage settle for sure')).toBeGreaterThan(stand.did.lastIndexOf('qemu block-jobs'));
  // One that changes all the time is left as it is for now.
  const restless = new Stand();
  const look = restless.driver;
  restless.driver = (request) => {
    restless.revision += 1;
    return look(request);
  };
  restless.storage = stand.storage;
  restless.happens('block-job', 'completed');
  await restless.until((did) => count(did, 'storage settle') === 5);
  expect(restless.did).not.toContain('storage settle for sure');
});

test('what a command has done to images is not told as a difference before its domain’s document has it', async () => {
  const stand = new Stand();
  const idle = stand.driver;
  const busy: Answer = (request) => ({ ...(idle(request) as object), uses: [{ claim: 'command' }] });
  stand.storage = ({ sure }) => ({ released: [], holds: [], differs: sure === true ? [] : ['vda'] });
  stand.driver = busy;
  stand.happens('block-job', 'completed');
  await stand.until((did) => count(did, 'storage settle') === 2);
  // One that begins while the images are read, too.
  stand.jobs = () => {
    stand.driver = busy;
    return { jobs: [] };
  };
  stand.driver = idle;
  const looks = count(stand.did, 'qemu block-jobs');
  await stand.until((did) => count(did, 'qemu block-jobs') > looks);
  const settled = count(stand.did, 'storage settle');
  await stand.until((did) => count(did, 'storage settle') > settled);
  expect(stand.did).not.toContain('storage settle for sure');
  stand.jobs = () => ({ jobs: [] });
  stand.driver = idle;
  await stand.until((did) => did.includes('storage settle for sure'));
});

test('a driver that comes back has those of its domains settled that hold images', async () => {
  const stand = new Stand();
  const held = (domain: string, driver: string) => ({ domain, driver, name: 'g', host: 'h1', epoch: 1, claim: 'c' });
  stand.held = () => ({ holders: [held(uuid, 'qemu'), held(uuid, 'qemu'), held('another', 'lxc')] });
  await stand.settler.inventoried({ status: { host: 'h1', driver: 'qemu' } } as unknown as Inventory);
  expect(stand.did).toEqual(['storage leases', 'qemu storage', 'storage settle', 'fleet holds']);
});

test.each([
  ['was defined', { domains: [{ uuid, persistent: true, images: true }], gone: [] }, [], 1],
  ['has no images', { domains: [{ uuid, persistent: true, images: false }], gone: [] }, [], 0],
  ['is known', { domains: [{ uuid, persistent: true, images: true }], gone: [] }, [uuid], 0],
  ['has left', { domains: [], gone: [{ uuid }] }, [uuid], 1],
  ['has come back', { domains: [{ uuid, persistent: true, images: true }], gone: [{ uuid }] }, [uuid], 0],
  [
    'is unknown to a storage service of old',
    { domains: [{ uuid, persistent: true, images: true }], gone: [] },
    undefined,
    0,
  ],
])('storage hears of a domain that %s while no copy of the service was there', async (_what, told, standing, times) => {
  const stand = new Stand();
  stand.held = () => ({ holders: [], ...(standing && { standing }) });
  await stand.settler.inventoried({ status: { host: 'h1', driver: 'qemu' }, ...told } as unknown as Inventory);
  expect(count(stand.did, 'storage settle')).toBe(times);
});

test('leases of the fleet that were lost are written again; two domains with one image are told of', async () => {
  const stand = new Stand();
  const holder = { domain: uuid, driver: 'qemu', name: 'g', host: 'h1', epoch: 1, claim: 'c', revision: 1, taken: 1 };
  stand.held = () => ({ holders: [{ ...holder, leases: [lease] }] });
  await stand.settler.restore(['h1']);
  expect(stand.troubles).toEqual([{ path: '/a', domains: ['g', 'other'] }]);
});

test('leases of another time, which no book of their host has, go; those of a host that does not answer stay', async () => {
  const stand = new Stand();
  const entry = (key: string, host: string, identity = lease.identity) => ({
    ...{ key, revision: 1 },
    value: { identity, holder: { domain: uuid, host } },
  });
  stand.before = [entry('kept', 'h1'), entry('past', 'h1', 'file:9:9'), entry('away', 'h2', 'file:9:9')];
  const holder = { domain: uuid, driver: 'qemu', name: 'g', host: 'h1', epoch: 1, claim: 'c', revision: 1, taken: 1 };
  stand.held = () => ({ holders: [{ ...holder, leases: [lease] }] });
  await stand.settler.restore(['h1', 'h2']);
  expect(stand.did.filter((one) => one.startsWith('fleet drops'))).toEqual(['fleet drops past']);
});

test('leases of a guest that its host has lost the book of stay: its driver is asked, and one that does not say is believed to run', async () => {
  const entry = {
    key: 'lost',
    revision: 1,
    value: { identity: lease.identity, holder: { domain: uuid, host: 'h1', driver: 'qemu' } },
  };
  const restored = async (tells: boolean): Promise<string[]> => {
    const stand = new Stand();
    stand.before = [entry];
    const holder = { domain: uuid, driver: 'qemu', name: 'g', host: 'h1', epoch: 1, claim: 'c', revision: 1, taken: 1 };
    stand.storage = () => {
      stand.held = () => ({ holders: [{ ...holder, leases: [lease] }] });
      return { released: [], holds, differs: [] };
    };
    if (!tells)
      stand.driver = () => {
        throw new VirtError('SYSTEM_ERROR', { detail: 'its record cannot be read' });
      };
    await stand.settler.restore(['h1']);
    return stand.did.filter((one) => one.startsWith('fleet drops') || one === 'storage settle');
  };
  expect(await restored(true)).toEqual(['storage settle']);
  expect(await restored(false)).toEqual([]);
});
