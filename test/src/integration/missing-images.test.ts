/** Disks whose image is missing at a start: `startupPolicy` tells whether their guest starts without, and how that is told. */
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import {
  auditChains,
  createDomain,
  createPool,
  createSnapshot,
  definePool,
  destroyDomain,
  getDomainXml,
  managedSave,
  revertSnapshot,
  startDomain,
  verifyFleet,
} from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { Stack } from '@virtbus/testkit';
import { refusal } from './host-storage';
import { disk, overlay, qemuImg, rawImage } from './storage-stand';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const file = (...name: string[]): string => stack.folder.file(...name);
const start = (target: string) => call(bus, startDomain, {}, { target });
const stop = (target: string) => call(bus, destroyDomain, {}, { target });

type Policy = 'mandatory' | 'requisite' | 'optional';
const cdrom = (path: string, policy: Policy): string =>
  `<disk type='file' device='cdrom'><source file='${path}' startupPolicy='${policy}'/><target dev='sda' bus='sata'/></disk>`;
const hardDisk = (path: string, policy: Policy, format = 'raw'): string =>
  disk(path, format, '', 'vdb').replace('<source ', `<source startupPolicy='${policy}' `);

/** Targets of the disks in a document, sorted; those without a medium in brackets. */
async function disks(target: string, inactive = false): Promise<string[]> {
  const { xml = '' } = await call(bus, getDomainXml, { inactive }, { target });
  const each = [...xml.matchAll(/<disk .*?<\/disk>/gs)].map(([text]) => text);
  const told = each.map((text) => {
    const dev = /<target dev='(\w+)'/.exec(text)![1]!;
    return text.includes('<source ') ? dev : `(${dev})`;
  });
  return told.sort();
}

/** What its guest has started without, as the log tells it. */
async function dropped(uuid: string): Promise<unknown[]> {
  const events = await stack.events(bus, uuid);
  return events.filter(({ class: kind }) => kind === 'disk-change').map(({ type, data }) => ({ type, ...data }));
}

/** What `virtbus verify` finds, of disks those of this domain. */
async function found(uuid: string): Promise<unknown[]> {
  const { disagreements } = await call(bus, verifyFleet, {});
  const { faults } = await call(bus, auditChains, {}, { target: 'h1' });
  return [...disagreements, ...faults.filter(({ domain }) => domain === uuid)];
}

test('a guest starts without an optional disk that is missing, and its definition keeps it', async () => {
  const [iso, scratch] = [file('none.iso'), file('none.img')];
  const devices =
    disk(rawImage(file('here.img'), 'here'), 'raw') + cdrom(iso, 'optional') + hardDisk(scratch, 'optional');
  const { uuid } = await stack.define(bus, { name: 'without', devices });
  await start(uuid);
  expect(await disks(uuid)).toEqual(['(sda)', 'vda']);
  expect(await disks(uuid, true)).toEqual(['sda', 'vda', 'vdb']);
  expect(await dropped(uuid)).toEqual([
    { type: 'drop-missing-on-start', target: 'vdb', alias: 'virtio-disk1', source: scratch },
    { type: 'missing-on-start', target: 'sda', alias: 'sata0-0-0', source: iso },
  ]);
  expect(await found(uuid)).toEqual([]);
  await stop(uuid);
  rawImage(scratch, 'scratch');
  await start(uuid);
  expect(await disks(uuid)).toEqual(['(sda)', 'vda', 'vdb']);
  expect(await dropped(uuid)).toHaveLength(3);
  await stop(uuid);
});

test('a volume that its pool does not have, and one of a pool that does not run, are missing, in a transient domain too', async () => {
  mkdirSync(file('pool'));
  await call(
    bus,
    createPool,
    { document: { type: 'dir', name: 'isos', target: { path: file('pool') } } },
    { target: 'h1' },
  );
  const off = { type: 'dir', name: 'off', target: { path: file('elsewhere') } };
  await call(bus, definePool, { document: off }, { target: 'h1' });
  const volumeOf = (pool: string, dev: string): string => {
    const source = `<source pool='${pool}' volume='none.iso' startupPolicy='optional'/>`;
    return `<disk type='volume' device='cdrom'>${source}<target dev='${dev}' bus='sata'/></disk>`;
  };
  const devices = volumeOf('isos', 'sda') + volumeOf('off', 'sdb');
  const { domain } = await call(bus, createDomain, { xml: await stack.domainXml({ name: 'transient', devices }) });
  expect(await disks(domain.uuid)).toEqual(['(sda)', '(sdb)']);
  expect(await dropped(domain.uuid)).toMatchObject([{ source: 'isos/none.iso' }, { source: 'off/none.iso' }]);
  await stop(domain.uuid);
});

test('what is mandatory, what a boot requires, and what cannot be opened keep the guest from starting', async () => {
  rawImage(file('base.img'), 'base');
  overlay(file('broken.qcow2'), 'base.img', 'raw');
  rmSync(file('base.img'));
  const refused: [string, string, RegExp][] = [
    ['mandatory', cdrom(file('none.iso'), 'mandatory'), /'.*none\.iso': No such file or directory$/],
    ['requisite', cdrom(file('none.iso'), 'requisite'), /'.*none\.iso': No such file or directory$/],
    ['broken', hardDisk(file('broken.qcow2'), 'optional', 'qcow2'), /base\.img.*the backing file of/],
    ['folder', hardDisk(file('here.img', 'x.img'), 'optional'), /x\.img': Not a directory$/],
  ];
  for (const [name, devices, words] of refused) {
    await stack.define(bus, { name, devices });
    expect((await refusal(start(name))).message).toMatch(words);
  }
  const network = `<disk type='network'><source protocol='nbd' name='x' startupPolicy='optional'><host name='h'/></source><target dev='vdb'/></disk>`;
  const remote = stack.define(bus, { name: 'never', devices: network });
  expect((await refusal(remote)).message).toMatch(/'optional' of disk 'vdb' is not for disks of type network/);
  const requisite = stack.define(bus, { name: 'never', devices: hardDisk(file('none.img'), 'requisite') });
  expect((await refusal(requisite)).message).toMatch(/'requisite' of disk 'vdb' is only for cdroms and floppies/);
});

test('a guest comes back without a medium that has gone, but not without a disk that its state knows', async () => {
  const [iso, scratch, away] = [rawImage(file('a.iso'), 'iso'), rawImage(file('b.img'), 'scratch'), file('away')];
  const devices = cdrom(iso, 'requisite') + hardDisk(scratch, 'optional');
  const { uuid } = await stack.run(bus, { name: 'saved', devices });
  await call(bus, managedSave, {}, { target: uuid });
  renameSync(scratch, away);
  expect((await refusal(start(uuid))).message).toMatch(/b\.img': No such file or directory$/);
  renameSync(away, scratch);
  rmSync(iso);
  expect((await start(uuid)).domain).toMatchObject({ state: 'running', reason: 'restored' });
  expect(await disks(uuid)).toEqual(['(sda)', 'vdb']);
  expect(await dropped(uuid)).toMatchObject([{ type: 'missing-on-start', target: 'sda', source: iso }]);
  // From its definition it would not start.
  expect(await found(uuid)).toMatchObject([{ what: `disk sda of domain 'saved'` }]);
  await stop(uuid);
});

test('so it goes back to a snapshot, which does not know a disk that the guest ran without', async () => {
  qemuImg('create', '-q', '-f', 'qcow2', file('root.qcow2'), '4M');
  chmodSync(file('root.qcow2'), 0o644);
  const iso = rawImage(file('c.iso'), 'iso');
  const devices = disk(file('root.qcow2'), 'qcow2') + cdrom(iso, 'optional') + hardDisk(file('no.img'), 'optional');
  const { uuid } = await stack.run(bus, { name: 'back', devices });
  const memory = `<memory snapshot='external' file='${file('back.memory')}'/>`;
  await call(
    bus,
    createSnapshot,
    { xml: `<domainsnapshot><name>s</name>${memory}</domainsnapshot>` },
    { target: uuid },
  );
  rmSync(iso);
  await call(bus, revertSnapshot, { name: 's' }, { target: uuid });
  expect(await disks(uuid)).toEqual(['(sda)', 'vda']);
  expect(await disks(uuid, true)).toEqual(['sda', 'vda', 'vdb']);
  expect(await dropped(uuid)).toMatchObject([{ target: 'vdb' }, { target: 'sda', source: iso }]);
  await stop(uuid);
});
