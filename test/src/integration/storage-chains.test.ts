/** Guests on backing chains: found by the storage service, told to QEMU whole, refused when they are not known. */
import { destroyDomain, getDomainXml } from '@virtbus/shared';
import { call, type Bus } from '@virtbus/shared/bus';
import { Stack } from '@virtbus/testkit';
import { disk, nodeNames, overlay, rawImage } from './storage-stand';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

const file = (name: string): string => stack.folder.file(name);
const liveXml = async (domain: string): Promise<string> => (await call(bus, getDomainXml, {}, { target: domain })).xml!;
const stop = async (domain: string): Promise<void> => void (await call(bus, destroyDomain, {}, { target: domain }));

test('an overlay without a described chain starts on the base that its header records', async () => {
  rawImage(file('one-base.img'), 'the base');
  overlay(file('one.qcow2'), 'one-base.img', 'raw');
  await stack.run(bus, { name: 'one', devices: disk(file('one.qcow2'), 'qcow2') });
  const xml = await liveXml('one');
  expect(xml).toMatch(/<source file='[^']*one\.qcow2' index='1'\/>/);
  expect(xml).toMatch(
    /<backingStore type='file' index='2'>\s*<format type='raw'\/>\s*<source file='[^']*one-base\.img'\/>\s*<backingStore\/>\s*<\/backingStore>/,
  );
  expect((await call(bus, getDomainXml, { inactive: true }, { target: 'one' })).xml).not.toContain('backingStore');
  expect(await nodeNames(bus, 'one')).toEqual([
    'libvirt-1-format',
    'libvirt-1-storage',
    'libvirt-2-format',
    'libvirt-2-storage',
  ]);
  await stop('one');
});
