/** The disk of the driver is full at a write of an operation on snapshots: guest and definition go on to agree on what is there. */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { diskImages, type Domain } from '@virtbus/domain-xml';
import { isVirtError, VirtError, type ChainDocument, type Prepared } from '@virtbus/shared';
import * as files from '@virtbus/shared/files';
import { OneHost, uuid } from '../testing/one-host';
import type { SnapshotsFacet } from './facet';
import { overlaysOf, withOverlays } from './overlays';

jest.mock('@virtbus/shared/files', () => {
  const actual = jest.requireActual<typeof files>('@virtbus/shared/files');
  return { ...actual, replaceFile: jest.fn(actual.replaceFile) };
});
const { replaceFile } = jest.requireActual<typeof files>('@virtbus/shared/files');

/** Writes until the disk is full, and for how many it is. */
let room = Infinity;
let fullFor = 0;

function write(what: string): void {
  room--;
  if (room < 0 && room >= -fullFor)
    throw new VirtError('SYSTEM_ERROR', { detail: `cannot write ${what}: no space left on the device` });
}

let one: OneHost;
/** What the hypervisor has open. */
let standsOn: string | undefined;

const topOf = (domain: Domain | undefined): string | undefined => {
  const disk = domain?.devices.disks[0];
  return disk && diskImages(disk)[0]?.source.file;
};

function makeAll(disks: Parameters<typeof overlaysOf>[0]): void {
  for (const { source } of overlaysOf(disks).values()) writeFileSync(source.file!, '');
}

const snapshots: Partial<SnapshotsFacet> = {
  check: () => undefined,
  checkFree: async () => undefined,
  checkKept: async () => undefined,
  take: async (guest, taking) => {
    makeAll(taking.snapshot);
    const live = withOverlays(guest.live, taking.snapshot);
    taking.begin();
    guest.live = live;
    standsOn = topOf(live);
    taking.taken();
  },
  takeOffline: async (_domain, { snapshot }) => makeAll(snapshot),
  makeOverlays: async (_after, disks) => makeAll(disks),
  mergeOffline: async () => undefined,
  wasTaken: async (guest, _domain, snapshot) => {
    const live = guest && withOverlays(guest.live, snapshot);
    if (!live || topOf(live) !== standsOn) return false;
    guest.live = live;
    return true;
  },
};

const file = (name: string): string => join(one.folder, name);
const chainOf = (...paths: string[]): ChainDocument => ({
  version: 1,
  layers: paths.map((path, index) => ({
    ...{ index, location: { type: 'file', path }, format: 'qcow2', formatKnown: 'given' },
  })),
});

function prepared(images: Record<string, ChainDocument>): Prepared {
  const { epoch, revision } = one.host.find(uuid)!.record;
  const named = Object.entries(images).map(([name, chain]) => ({ name, target: 'vda', chain }));
  return { epoch, revision, claim: 'c', disks: [{ target: 'vda', chain: chainOf(file('base.qcow2')) }], images: named };
}

async function stand(runs: boolean): Promise<void> {
  room = Infinity;
  standsOn = undefined;
  one = await OneHost.open('h1', (driver) => Object.assign(driver.facets, { snapshots }));
  writeFileSync(file('base.qcow2'), '');
  const source = `<source file='${file('base.qcow2')}'/><target dev='vda' bus='virtio'/>`;
  await one.define({ devices: `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>${source}</disk>` });
  if (!runs) return;
  await one.call('start', { paused: false }, { prepared: prepared({}) });
  standsOn = file('base.qcow2');
}

beforeEach(() => {
  jest.mocked(files.replaceFile).mockImplementation((path, content, durable) => {
    write(path);
    replaceFile(path, content, durable);
  });
});

/** True when it was done. Storage takes away what nothing names then. */
async function isDone(operation: string, request: object, images: Record<string, ChainDocument>): Promise<boolean> {
  const { host } = one;
  const journal = host.journal.bind(host);
  host.journal = (event) => {
    write('the journal');
    journal(event);
  };
  try {
    await one.call(operation, request, { prepared: prepared(images) });
    return true;
  } catch (error) {
    if (!isVirtError(error, 'SYSTEM_ERROR')) throw error;
    const { config, live } = host.find(uuid)!;
    const named = [config, live].map(topOf);
    const made = readdirSync(one.folder).filter((name) => /^base\.(?!qcow2)/.test(name));
    for (const path of made.map(file)) if (!named.includes(path)) rmSync(path);
    return false;
  } finally {
    host.journal = journal;
  }
}

const present = (): string => topOf(one.host.find(uuid)!.document)!;

const take = (name: string): Promise<boolean> => {
  const xml = `<domainsnapshot><name>${name}</name></domainsnapshot>`;
  const images = { 'overlay:vda': chainOf(file(`base.${name}`)), 'base:vda': chainOf(present()) };
  return isDone('snapshot-create', { xml, diskOnly: true }, images);
};

const back = (name: string): Promise<boolean> =>
  isDone('snapshot-revert', { name }, { 'base:vda': chainOf(file('base.qcow2')), 'gone0:vda': chainOf(present()) });

const remove = (name: string): Promise<boolean> => {
  const below = file('base.qcow2');
  const chain = chainOf(...new Set([present(), below]));
  return isDone('snapshot-delete', { name }, { 'chain:vda': chain, 'into0:vda': chainOf(below) });
};

const names = async (): Promise<string[]> =>
  (await one.call<{ snapshots: { name: string }[] }>('snapshot-list')).snapshots.map(({ name }) => name);

/** What the definition names: it is there, and is what the guest has. */
function agreed(): string {
  const top = topOf(one.host.find(uuid)!.config)!;
  const open = one.host.find(uuid)!.guest ? standsOn : top;
  expect([top, existsSync(top), open]).toEqual([top, true, top]);
  return basename(top);
}

/** A new domain for each of the writes of the work that finds the disk full, for so many writes. */
async function* fullAtEachWrite(length: number, runs: boolean): AsyncGenerator<{ fill: () => void; free: () => void }> {
  fullFor = length;
  for (let before = 0, wasFull = true; wasFull; before++) {
    await stand(runs);
    const free = (): void => {
      wasFull = room < 0;
      room = Infinity;
    };
    yield { fill: () => (room = before), free };
    one[Symbol.dispose]();
  }
}

const lengths = [1, 2, 1_000];

const on = async (): Promise<void> => undefined;
const again = (): Promise<void> => one.restart();

describe.each([
  ['off', false],
  ['running', true],
])('of a domain that is %s', (_state, runs) => {
  test.each(lengths)('a snapshot is there or not, and the next one upon what is there: full for %d', async (length) => {
    for await (const { fill, free } of fullAtEachWrite(length, runs)) {
      fill();
      await take('first');
      free();
      const there = agreed() === 'base.first' ? ['first'] : [];
      expect(await names()).toEqual(there);
      expect(await take('second')).toBe(true);
      for (const restart of [on, again]) {
        await restart();
        expect([agreed(), await names()]).toEqual(['base.second', [...there, 'second']]);
      }
    }
  });

  test.each(lengths)('a snapshot is there or not after a restart: full for %d', async (length) => {
    for await (const { fill, free } of fullAtEachWrite(length, runs)) {
      fill();
      await take('first');
      free();
      await one.restart();
      expect(await names()).toEqual(agreed() === 'base.first' ? ['first'] : []);
    }
  });
});

const goesOn = [
  ['goes on', on],
  ['is started again', again],
] as const;

describe.each(goesOn)('the driver %s', (_how, next) => {
  test.each([
    ...lengths.map((length) => [length, 'off', false] as const),
    ...lengths.map((length) => [length, 'running', true] as const),
  ])('a domain has gone back or not, and goes back then: full for %d, %s', async (length, _state, runs) => {
    for await (const { fill, free } of fullAtEachWrite(length, runs)) {
      await take('first');
      fill();
      await back('first');
      free();
      await next();
      agreed();
      expect(await back('first')).toBe(true);
      for (const restart of [on, again]) {
        await restart();
        expect([agreed(), await names(), one.state()]).toEqual([
          expect.stringMatching(/^base\.vda\./),
          ['first'],
          expect.stringMatching(/^shutoff/),
        ]);
      }
    }
  });

  test.each(lengths)('a snapshot is deleted or not, and is deleted then: full for %d', async (length) => {
    for await (const { fill, free } of fullAtEachWrite(length, false)) {
      await take('first');
      fill();
      await remove('first');
      free();
      await next();
      agreed();
      if ((await names()).length > 0) expect(await remove('first')).toBe(true);
      for (const restart of [on, again]) {
        await restart();
        expect([agreed(), await names(), existsSync(file('base.first'))]).toEqual(['base.qcow2', [], false]);
      }
    }
  });
});
