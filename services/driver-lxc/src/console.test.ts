/** What the first console of a container has shown, read from the file that liblxc keeps. */
import fs, { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDomain } from '@virtbus/domain-xml';
import type { ConsoleChannel } from '@virtbus/driver-runtime';
import { eventually } from '@virtbus/testkit';
import { Consoles } from './console';
import { placeOf } from './place';

const document = `<domain type="lxc"><name>c</name><memory>1024</memory><os><type>exe</type><init>/init</init></os>
  <devices><console type="pty"/></devices></domain>`;
let folder: string;
let consoles: Consoles;
let first: ConsoleChannel;
let log: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vb-console-'));
  const place = placeOf({ run: join(folder, 'run'), state: folder, log: join(folder, 'log') });
  log = place.consoleLog;
  consoles = new Consoles(parseDomain(document, { mode: 'inactive' }).domain, place, () => process.pid);
  first = consoles.channel(undefined);
});
afterEach(() => {
  jest.restoreAllMocks();
  consoles.close();
  rmSync(folder, { recursive: true });
});

test('what was shown comes back byte for byte, and from anywhere in a character', () => {
  const bytes = Buffer.concat([Buffer.from('boot €'), Buffer.from([0xff, 0x80, 0x00])]);
  writeFileSync(log, bytes);
  expect(Buffer.from(first.backlog(65_536))).toEqual(bytes);
  expect(Buffer.from(first.backlog(5))).toEqual(bytes.subarray(-5));
});

test('what is shown while the backlog is read is heard, once', () => {
  writeFileSync(log, 'before ');
  const { closeSync } = fs;
  jest.spyOn(fs, 'closeSync').mockImplementationOnce((fd) => {
    closeSync(fd);
    appendFileSync(log, 'between ');
  });
  const heard = [first.backlog(65_536)];
  first.onOutput((bytes) => heard.push(bytes));
  expect(Buffer.concat(heard).toString()).toBe('before between ');
});

test('no more is read than is listened to, and then what follows', async () => {
  writeFileSync(log, '');
  first.backlog(65_536);
  let heard = 0;
  let wants!: () => void;
  const stop = first.onOutput(async (bytes) => {
    heard += bytes.length;
    await new Promise<void>((resolve) => (wants = resolve));
  });
  const size = 8 * 1024 ** 2;
  appendFileSync(log, Buffer.alloc(size));
  await eventually(() => heard > 0, true);
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  expect(heard).toBeLessThanOrEqual(65_536);
  await eventually(() => {
    wants();
    return heard;
  }, size);
  stop();
});

test('a file that somebody takes away while it is listened to harms nobody', async () => {
  writeFileSync(log, 'before');
  const heard: Uint8Array[] = [];
  first.onOutput((bytes) => void heard.push(bytes));
  rmSync(log);
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  expect(Buffer.concat(heard).toString()).toBe('before');
  expect(first.backlog(65_536)).toHaveLength(0);
});
