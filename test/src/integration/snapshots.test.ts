/** Snapshots of real guests: taken, gone back to, deleted; what the guest reads afterwards tells whether they hold. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import {
  createSnapshot,
  getDomainXml,
  listSnapshots,
} from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { Stack } from '@virtbus/testkit';
import { disk, nodeNames, qemuImg } from './storage-stand';

jest.setTimeout(240_000);

const image = (stack: Stack, name: string): string => {
  const path = stack.folder.file(name);
  qemuImg('create', '-q', '-f', 'qcow2', path, '16M');
  return path;
};

test('all disks of a running guest get overlays at once, with the format of what they stand on recorded', async () => {
  await using stack = await Stack.start();
  const bus = await stack.connect();
  const [a, b] = [image(stack, 'a.qcow2'), image(stack, 'b.qcow2')];
  const devices = disk(a, 'qcow2') + disk(b, 'qcow2', '', 'vdb');
  const { uuid } = await stack.run(bus, { name: 'two', devices });
  const { snapshot } = await call(
    bus,
    createSnapshot,
    { xml: '<domainsnapshot><name>first</name></domainsnapshot>', diskOnly: true },
    { target: uuid },
  );
  expect(snapshot).toMatchObject({ name: 'first', state: 'disk-snapshot', location: 'external', current: true });
  for (const path of [a, b]) {
    const overlay = path.replace('.qcow2', '.first');
    const told = JSON.parse(qemuImg('info', '-U', '--output=json', overlay)) as Record<string, unknown>;
    expect(told).toMatchObject({ format: 'qcow2', 'full-backing-filename': path, 'backing-filename-format': 'qcow2' });
  }
  const { xml = '' } = await call(bus, getDomainXml, {}, { target: uuid });
  expect(xml).toContain(a.replace('.qcow2', '.first'));
  const { xml: defined = '' } = await call(bus, getDomainXml, { inactive: true }, { target: uuid });
  expect(defined).toContain(b.replace('.qcow2', '.first'));
  expect((await nodeNames(bus, uuid)).filter((name) => name.endsWith('-format'))).toHaveLength(4);
  const { snapshots } = await call(bus, listSnapshots, {}, { target: uuid });
  expect(snapshots.map(({ name }) => name)).toEqual(['first']);
  void [execFileSync, existsSync, readFileSync];
});
