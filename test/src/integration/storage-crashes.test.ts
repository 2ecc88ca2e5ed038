/** The storage service is killed in the middle of its work: every volume is as before or as asked, and nothing is left over. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { cloneVolume, deleteVolume, listVolumes, resizeVolume } from '@virtbus/shared';
import { Stack, temporaryFolder } from '@virtbus/testkit';
import { HostStorage } from './host-storage';

jest.setTimeout(180_000);

const folder = temporaryFolder();
const path = folder.file('pool');
let stack: Stack;
let storage: HostStorage;
beforeAll(async () => {
  stack = await Stack.start();
  storage = new HostStorage(await stack.connect());
  await storage.pool('pool', path);
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const mib = 1024 ** 2;
const at = (name: string): string => folder.file('pool', name);
const capacityOf = async (name: string): Promise<number | undefined> =>
  (await storage.ask(listVolumes, { pool: 'pool' })).volumes.find((volume) => volume.name === name)?.capacity;

/** From before anything was done to after all of it, milliseconds. */
const moments = [3, 15, 40, 70, 120];

test.each(moments)('killed %i ms into create, clone, resize and delete', async (moment) => {
  const base = await storage.qcow2('pool', `base-${moment}`, 64 * mib);
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 5 0 24M', base.path]);
  await storage.qcow2('pool', `grows-${moment}`, 64 * mib);
  await storage.qcow2('pool', `goes-${moment}`, 64 * mib);

  const asked = [
    storage.qcow2('pool', `comes-${moment}`, 64 * mib),
    storage.ask(cloneVolume, { pool: 'pool', volume: base.name, name: `clone-${moment}` }),
    storage.ask(resizeVolume, { pool: 'pool', volume: `grows-${moment}`, capacity: 128 * mib }),
    storage.ask(deleteVolume, { pool: 'pool', volume: `goes-${moment}` }),
  ];
  // Who was to answer is dead.
  for (const each of asked) each.catch(() => undefined);
  await sleep(moment);
  await stack.restartStorage('h1');

  expect([64 * mib, 128 * mib]).toContain(await capacityOf(`grows-${moment}`));
  expect([undefined, 64 * mib]).toContain(await capacityOf(`comes-${moment}`));
  expect([undefined, 64 * mib]).toContain(await capacityOf(`clone-${moment}`));
  if (existsSync(at(`clone-${moment}`))) {
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read -P 5 0 24M', at(`clone-${moment}`)]);
  }
  const files = readdirSync(path).sort();
  expect(files.filter((name) => name.startsWith('.virtbus'))).toEqual([]);
  expect(await storage.volumes('pool')).toEqual(files);
  for (const name of files) execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', at(name)]);
});
