import fs, { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silent } from '@virtbus/shared/log';
import { untilThereIsRoom } from './room';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-room-'))));
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const failing = (code: string) =>
  jest.spyOn(fs, 'writeFileSync').mockImplementation(() => {
    throw Object.assign(new Error(code), { code });
  });

test('a full disk is waited for, and told of once; nothing is left of the look', async () => {
  const told = jest.spyOn(silent, 'error').mockReturnValue(undefined);
  const write = failing('ENOSPC');
  const waiting = untilThereIsRoom(folder, silent);
  let isOver = false;
  void waiting.then(() => (isOver = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(false);
  write.mockRestore();
  await waiting;
  expect(told).toHaveBeenCalledTimes(1);
  expect(readdirSync(folder)).toEqual([]);
});

test('what else is wrong is told by who writes', async () => {
  failing('EACCES');
  await untilThereIsRoom(folder, silent);
});
