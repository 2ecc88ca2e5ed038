/** The stand that block jobs are measured on: it finds sound what is, and what is not it names. */
import { openSync, writeSync, closeSync } from 'node:fs';
import type { Bus } from '@virtbus/shared/bus';
import { Stack } from '@virtbus/testkit';
import { faultsOf, lossesOfImage } from '../block-stand/sound';
import { WritingGuest } from '../block-stand/writing-guest';

jest.setTimeout(240_000);

let stack: Stack;
let bus: Bus;
beforeAll(async () => {
  stack = await Stack.start();
  bus = await stack.connect();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

test('a guest that writes to two disks of four layers finds all of it again, by its own checksums and in its images', async () => {
  const guest = await WritingGuest.start(stack, bus, { name: 'writer' });
  await guest.flushesMore(100);
  const names = (disk: string): string[] => [3, 2, 1].map((n) => `${disk}-${n}.qcow2`).concat(`${disk}-0.img`);
  expect(await faultsOf(guest, { chains: { vda: names('vda'), vdb: names('vdb') } })).toEqual([]);

  // One byte of a record, one byte beside it: both are missed.
  const base = guest.layers.get('vda')!.files[3]!;
  const image = openSync(base, 'r+');
  writeSync(image, 'X', 5000);
  writeSync(image, 'X', 7 * 1024 * 1024);
  closeSync(image);
  const lost = lossesOfImage(guest, 'vda', guest.layers.get('vda')!.files[0]!, 'qcow2');
  expect(lost).toEqual([
    'vda: what lies beside the records has changed',
    'vda: what lies behind the records has changed',
  ]);
  const unwritten = new Map([['vdb', new Map([[5, 1_000_005]])]]);
  const top = guest.layers.get('vdb')!.files[0]!;
  expect(lossesOfImage(guest, 'vdb', top, 'qcow2', unwritten)).toEqual([
    expect.stringContaining('vdb: slot 5 holds') as string,
  ]);
});
