import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finish, readSaveImage, writeHeader } from './save-image';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-image-'))));
afterEach(() => rmSync(folder, { recursive: true }));

test('an image that is finished holds the document, and how the guest was', async () => {
  const path = join(folder, 'saved');
  await using file = await open(path, 'wx');
  const streamStart = await writeHeader(file, '<domain/>', true);
  await finish(file, new AbortController().signal);
  expect(await readSaveImage(path)).toEqual({ xml: '<domain/>', running: true, streamStart });
});

test('an image that is given up while it goes to the disk is never marked as whole', async () => {
  const path = join(folder, 'saved');
  await using file = await open(path, 'wx');
  await writeHeader(file, '<domain/>', true);
  const abort = new AbortController();
  const sync = file.sync.bind(file);
  jest.spyOn(file, 'sync').mockImplementationOnce(async () => {
    abort.abort(new Error('job cancelled'));
    await sync();
  });
  await expect(finish(file, abort.signal)).rejects.toThrow('job cancelled');
  await expect(readSaveImage(path)).rejects.toThrow('the save was never finished');
});
