/** A driver dies, or qemu-img fails, while images go back to an internal snapshot, each by itself. */
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { isVirtError, verifyFleet } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { eventually, temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';
import { fill, holds, SnapshotStand } from './snapshot-stand';
import { disk } from './storage-stand';

jest.setTimeout(240_000);

let own: TemporaryFolder;
let stand: SnapshotStand;
beforeAll(async () => {
  own = temporaryFolder();
  const bin = own.file('bin');
  mkdirSync(bin);
  const path = process.env['PATH'] ?? '';
  // While there is a file `hold`, an image that is named for it goes back to nothing as long as whoever asks is there.
  const script = `#!/bin/sh
case "$*" in
  "snapshot -a"*second*)
    if [ -e '${own.file('hold')}' ]; then
      touch '${own.file('held')}'
      while [ -e '${own.file('hold')}' ] && kill -0 $PPID; do sleep 0.05; done
      echo 'it was held' >&2
      exit 1
    fi ;;
esac
PATH='${path}' exec qemu-img "$@"
`;
  writeFileSync(join(bin, 'qemu-img'), script);
  chmodSync(join(bin, 'qemu-img'), 0o755);
  stand = await SnapshotStand.start({ env: { PATH: `${bin}${delimiter}${path}` } });
});
afterAll(async () => {
  await stand?.[Symbol.asyncDispose]();
  own[Symbol.dispose]();
});

/** A domain of two disks that hold 2 since a snapshot of when they held 1. */
async function domainOfTwo(name: string): Promise<{ uuid: string; disks: string[] }> {
  const disks = [stand.image(`${name}-first`), stand.image(`${name}-second`)];
  const devices = disks.map((path, n) => disk(path, 'qcow2', '', `vd${'ab'[n]!}`)).join('');
  const { uuid } = await stand.stack.define(stand.bus, { name, devices });
  for (const path of disks) fill(path, 1);
  await stand.take(uuid, 's');
  for (const path of disks) fill(path, 2);
  return { uuid, disks };
}

const areBack = (disks: readonly string[]): boolean[] => disks.map((path) => holds(path, 1));

/** The first disk has gone back, the second is about to. */
async function untilHeld(): Promise<void> {
  await eventually(() => existsSync(own.file('held')), true);
  rmSync(own.file('held'));
}

const words = (text: string): string => expect.stringContaining(text) as string;

test('a domain of two disks has gone back with both, though the driver was killed between them', async () => {
  const { uuid, disks } = await domainOfTwo('killed');
  writeFileSync(own.file('hold'), '');
  const back = stand.back(uuid, 's').catch((error: unknown) => {
    if (!isVirtError(error)) throw error;
  });
  await untilHeld();
  await stand.stack.restartDriver('h1', async () => rmSync(own.file('hold')));
  await back;
  expect(areBack(disks)).toEqual([true, true]);
  expect(await stand.names(uuid)).toEqual(['s']);
  await eventually(async () => (await call(stand.bus, verifyFleet, {})).disagreements, []);
});

test('a domain of which one disk cannot go back says that others may have, and goes back with the next command', async () => {
  const { uuid, disks } = await domainOfTwo('refused');
  writeFileSync(own.file('hold'), '');
  const back = stand.back(uuid, 's');
  back.catch(() => undefined);
  await untilHeld();
  rmSync(own.file('hold'));
  await expect(back).rejects.toMatchObject({
    code: 'OPERATION_FAILED',
    message: words("some disks may have gone back to snapshot 's', and others not: go back to it once more"),
  });
  expect(areBack(disks)).toEqual([true, false]);
  await stand.back(uuid, 's');
  expect(areBack(disks)).toEqual([true, true]);
});
