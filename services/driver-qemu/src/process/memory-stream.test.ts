/** Save and restore of a real guest's memory; and what happens when they go wrong. */
import { randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import {
  chownSync,
  createReadStream,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { BareGuest } from './bare-guest';
import { FIRST_INHERITED_FD } from './launch';
import { restoreMemory, skipTo } from './restore-memory';
import { saveMemory } from './save-memory';

const START = 4096;
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'memory-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const socketOf = (guest: BareGuest): string => join(guest.directory, 'stream.sock');

/** A guest with so much in its memory that a save cannot be over before its first block is written. */
function largeGuest(): Promise<BareGuest> {
  const contents = join(folder, 'contents');
  writeFileSync(contents, randomBytes(16 << 20));
  return BareGuest.start(['-device', `loader,file=${contents},addr=0x1000000,force-raw=on`]);
}

async function savedGuest(path: string, options: Parameters<typeof BareGuest.start>[1] = {}): Promise<number> {
  await using guest = await BareGuest.start([], options);
  await guest.qmp.execute('cont');
  await guest.qmp.execute('stop');
  await using file = await open(path, 'w');
  const bytes = await saveMemory(guest.qmp, file, {
    socketPath: socketOf(guest),
    start: START,
    ...(options.user && { user: options.user }),
  });
  expect(readdirSync(guest.directory)).not.toContain('stream.sock');
  return bytes;
}

test('a saved guest comes back from the file, paused, and runs on', async () => {
  const path = join(folder, 'saved');
  const bytes = await savedGuest(path);
  expect(statSync(path).size).toBe(START + bytes);

  await using file = await open(path);
  await skipTo(file, START);
  await using guest = await BareGuest.start(['-incoming', 'defer'], { inherit: [file.fd] });
  await restoreMemory(guest.qmp, { inheritedFd: FIRST_INHERITED_FD });
  await expect(guest.qmp.execute('query-status')).resolves.toMatchObject({ status: 'paused' });
  await guest.qmp.execute('cont');
  await expect(guest.qmp.execute('query-status')).resolves.toMatchObject({ status: 'running' });
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;
asRoot('a guest under another user is saved and restored through its own directory', async () => {
  const user = { uid: 65534, gid: 65534 };
  const path = join(folder, 'saved');
  const home = (name: string): string => {
    const directory = mkdtempSync(join(tmpdir(), `${name}-`));
    chownSync(directory, user.uid, user.gid);
    return directory;
  };
  const own = home('save');
  await savedGuest(path, { directory: own, ...places(own), user });
  const other = home('restore');
  await using guest = await BareGuest.start(['-incoming', 'defer'], { directory: other, ...places(other), user });
  const stream = createReadStream(path, { start: START });
  await restoreMemory(guest.qmp, { stream, socketPath: socketOf(guest) });
  await expect(guest.qmp.execute('query-status')).resolves.toMatchObject({ status: 'paused' });
});

test('a full disk is named as the reason, and the guest runs on', async () => {
  await using guest = await BareGuest.start();
  await using full = await open('/dev/full', 'w');
  await expect(saveMemory(guest.qmp, full, { socketPath: socketOf(guest) })).rejects.toMatchObject({ code: 'ENOSPC' });
  await guest.qmp.execute('cont');
  await expect(guest.qmp.execute('query-status')).resolves.toMatchObject({ running: true });
});

test('an aborted save leaves a guest that can go on and be saved again', async () => {
  await using guest = await largeGuest();
  await using file = await open(join(folder, 'saved'), 'w');
  const abort = new AbortController();
  const saving = saveMemory(guest.qmp, file, {
    socketPath: socketOf(guest),
    onProgress: () => abort.abort(new Error('job cancelled')),
    signal: abort.signal,
  });
  await expect(saving).rejects.toThrow('job cancelled');
  await guest.qmp.execute('cont');
  await guest.qmp.execute('stop');
  await expect(saveMemory(guest.qmp, file, { socketPath: socketOf(guest) })).resolves.toBeGreaterThan(100_000);
});

test.each(['migrate-set-parameters', 'migrate-set-capabilities', 'migrate'])(
  'a save that is aborted when QEMU is sent %s is not done',
  async (moment) => {
    await using guest = await BareGuest.start();
    await using file = await open(join(folder, 'saved'), 'w');
    const abort = new AbortController();
    const send = guest.qmp.executeRaw.bind(guest.qmp);
    const sent = jest.spyOn(guest.qmp, 'executeRaw').mockImplementation((command, ...rest) => {
      if (command === moment) abort.abort(new Error('job cancelled'));
      return send(command, ...rest);
    });
    const saving = saveMemory(guest.qmp, file, { socketPath: socketOf(guest), signal: abort.signal });
    await expect(saving).rejects.toThrow('job cancelled');
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    sent.mockRestore();
    await guest.qmp.execute('cont');
    await expect(guest.qmp.execute('query-status')).resolves.toMatchObject({ status: 'running' });
  },
);

test('a save that is done no longer listens for an abort', async () => {
  await using guest = await BareGuest.start();
  await using file = await open(join(folder, 'saved'), 'w');
  const { signal } = new AbortController();
  await saveMemory(guest.qmp, file, { socketPath: socketOf(guest), signal });
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

test('a guest that dies while it is saved is told as such', async () => {
  await using guest = await largeGuest();
  await using file = await open(join(folder, 'saved'), 'w');
  const saving = saveMemory(guest.qmp, file, {
    socketPath: socketOf(guest),
    onProgress: () => process.kill(guest.process.identity.pid, 'SIGKILL'),
  });
  await expect(saving).rejects.toThrow(/monitor/);
});

describe.each(['a descriptor', 'a stream'])('restoring from %s', (way) => {
  /** A guest that waits for the file's bytes from START on, and the attempt to restore it. */
  async function restoring(path: string, start: number, signal?: AbortSignal): Promise<string> {
    await using file = await open(path);
    await skipTo(file, start);
    await using guest = await BareGuest.start(['-incoming', 'defer'], { inherit: [file.fd] });
    const from =
      way === 'a stream'
        ? { stream: createReadStream(path, { start }), socketPath: socketOf(guest) }
        : { inheritedFd: FIRST_INHERITED_FD };
    const { lastWords } = guest;
    return await restoreMemory(guest.qmp, from, { lastWords, ...(signal && { signal }) }).then(
      () => 'restored',
      (error: Error) => error.message,
    );
  }

  test('garbage is refused in the words of QEMU', async () => {
    const path = join(folder, 'saved');
    await savedGuest(path);
    await expect(restoring(path, 0)).resolves.toMatch(
      /^QEMU could not load the saved guest: .*Not a migration stream/i,
    );
  });

  test('a truncated file is refused in the words of QEMU', async () => {
    const path = join(folder, 'saved');
    const bytes = await savedGuest(path);
    truncateSync(path, START + Math.floor(bytes / 2));
    await expect(restoring(path, START)).resolves.toMatch(
      /^QEMU could not load the saved guest: .*load of migration failed/s,
    );
  });
});

test('a stream that fails is named as the reason', async () => {
  await using guest = await BareGuest.start(['-incoming', 'defer']);
  const restoring = restoreMemory(guest.qmp, { stream: Readable.from(failing()), socketPath: socketOf(guest) });
  await expect(restoring).rejects.toThrow('cannot read the saved guest: disk on fire');
});

test('an aborted restore says why', async () => {
  await using guest = await BareGuest.start(['-incoming', 'defer']);
  const abort = new AbortController();
  const stream = new Readable({ read: () => abort.abort(new Error('start cancelled')) });
  const restoring = restoreMemory(guest.qmp, { stream, socketPath: socketOf(guest) }, { signal: abort.signal });
  await expect(restoring).rejects.toThrow('start cancelled');
});

function places(directory: string): { monitorPath: string; logPath: string } {
  return { monitorPath: join(directory, 'monitor.sock'), logPath: join(directory, 'guest.log') };
}

async function* failing(): AsyncGenerator<Buffer> {
  yield Buffer.alloc(16);
  throw new Error('disk on fire');
}
