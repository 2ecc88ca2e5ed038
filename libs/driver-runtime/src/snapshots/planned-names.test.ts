/** A driver is started again between planning a command and being given it: names that are made of the time are others by then. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDevice } from '@virtbus/domain-xml';
import { createSnapshot, revertSnapshot, type ImageNeed, type Prepared } from '@virtbus/shared';
import { OneHost, uuid } from '../testing/one-host';
import type { SnapshotsFacet } from './facet';
import { overlaysOf } from './overlays';

function makeAll(disks: Parameters<typeof overlaysOf>[0]): void {
  for (const { source } of overlaysOf(disks).values()) writeFileSync(source.file!, '');
}

const snapshots: Partial<SnapshotsFacet> = {
  check: () => undefined,
  checkKept: async () => undefined,
  takeOffline: async (_domain, { snapshot }) => makeAll(snapshot),
  makeOverlays: async (_after, disks) => makeAll(disks),
};

let one: OneHost;
let now = 1_000_000;
beforeEach(async () => {
  jest.spyOn(Date, 'now').mockImplementation(() => now * 1_000);
  one = await OneHost.open('h1', (driver) => Object.assign(driver.facets, { snapshots }));
  mkdirSync(images());
  writeFileSync(join(images(), 'base.qcow2'), '');
  const source = `<source file='${join(images(), 'base.qcow2')}'/><target dev='vda' bus='virtio'/>`;
  await one.define({ devices: `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>${source}</disk>` });
});
afterEach(() => {
  one[Symbol.dispose]();
  jest.restoreAllMocks();
});

const images = (): string => join(one.folder, 'images');

/** What storage would prepare for a command by the plan of its driver. */
async function planned(operation: string, request: object, id: string): Promise<Prepared> {
  const ask = { afresh: false, revoke: [], command: { operation, request } };
  const { needs } = await one.call<{ needs: ImageNeed[] }>('storage', ask, { id });
  const { epoch, revision } = one.host.find(uuid)!.record;
  const named = needs.map(({ name, target, disk }) => {
    const { value } = parseDevice(disk) as { value: { source?: { file?: string } } };
    const location = { type: 'file', path: value.source!.file! } as const;
    const layer = { index: 0, location, format: 'qcow2', formatKnown: 'given' } as const;
    return { name, target, chain: { version: 1 as const, layers: [layer] } };
  });
  return { epoch, revision, claim: id, disks: [], images: named };
}

/** Planned by one driver and given to the next; then planned by that one. */
async function acrossRestart(operation: string, request: object): Promise<void> {
  const id = `${operation}-${now}`;
  const before = readdirSync(images());
  const prepared = await planned(operation, request, id);
  now += 10;
  await one.restart();
  expect(await one.refusal(operation, request, { id, prepared })).toMatch(
    /^RESOURCE_BUSY: .* its driver was started again/,
  );
  expect([readdirSync(images()), one.recordOnDisk().snapshot?.doing]).toEqual([before, undefined]);
  await one.call(operation, request, { id, prepared: await planned(operation, request, id) });
}

test('a snapshot and a return to it are planned anew, and nothing is made in a place that nobody has prepared', async () => {
  await acrossRestart('snapshot-create', createSnapshot.request.parse({ xml: '<domainsnapshot/>', diskOnly: true }));
  expect(existsSync(join(images(), `base.${now}`))).toBe(true);
  await acrossRestart('snapshot-revert', revertSnapshot.request.parse({ name: `${now}` }));
  expect(existsSync(join(images(), `base.vda.${now}`))).toBe(true);
});
