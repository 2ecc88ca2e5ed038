import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { silent } from '@virtbus/shared/log';
import { needsRoot, temporaryFolder } from '@virtbus/testkit';
import { unmountAll } from './host-mounts';
import { ownNode } from './own-nodes';
import type { Place } from './place';

const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const ids = { start: 0, target: 300_000, count: 65_536 };

needsRoot().test('what the root has mounted at a place of this name is not where nodes are', async () => {
  const place = { mounts: folder.file('other.mounts') } as Place;
  const within = folder.file('other.mounts', 'root', 'devices');
  mkdirSync(within, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'within', within]);
  try {
    const node = await ownNode({ idmap: { uids: [ids], gids: [ids] } }, place, '/dev/null');
    expect(statSync(node).isCharacterDevice()).toBe(true);
  } finally {
    await unmountAll(place.mounts, silent);
  }
});

needsRoot().test('a node that was made when the driver died is given to the container all the same', async () => {
  const place = { mounts: folder.file('guest.mounts') } as Place;
  const make = (): Promise<string> => ownNode({ idmap: { uids: [ids], gids: [ids] } }, place, '/dev/null');
  try {
    const node = await make();
    chownSync(node, 0, 0);
    expect(await make()).toBe(node);
    expect(statSync(node)).toMatchObject({ uid: 300_000, gid: 300_000 });
    expect(statSync(node).rdev).toBe(statSync('/dev/null').rdev);
  } finally {
    await unmountAll(place.mounts, silent);
  }
  expect(existsSync(place.mounts)).toBe(false);
});
