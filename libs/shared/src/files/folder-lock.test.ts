import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isVirtError } from '../errors';
import { lockFolder } from './folder-lock';

let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vb-lock-'))));
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const refusal = async (path: string): Promise<string> => {
  const error: unknown = await lockFolder(path).catch((thrown: unknown) => thrown);
  if (!isVirtError(error, 'RESOURCE_BUSY')) throw new Error('was locked twice', { cause: error });
  return error.message;
};

/** Another process that has the folder, as a driver would have it. */
async function holder(): Promise<ChildProcess> {
  const { dev, ino } = statSync(folder);
  const script = `
    require('node:net').createServer((socket) => socket.end(String(process.pid)))
      .listen('\\0virtbus-${dev}-${ino}', () => console.log('locked'));`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
}

test('a state folder is one service’s alone, until it lets go', async () => {
  const lock = await lockFolder(folder);
  expect(await refusal(folder)).toBe(
    `resource busy: another service runs on this state folder (pid ${process.pid}): ${folder}`,
  );
  lock[Symbol.dispose]();
  (await lockFolder(folder))[Symbol.dispose]();
});

test('a link to a folder is the folder', async () => {
  using _lock = await lockFolder(folder);
  const link = `${folder}-link`;
  symlinkSync(realpathSync(folder), link);
  try {
    expect(await refusal(link)).toContain('another service runs');
  } finally {
    rmSync(link);
  }
});

test('two folders are two locks, and a folder that is not there is made', async () => {
  using _one = await lockFolder(join(folder, 'h1'));
  using _two = await lockFolder(join(folder, 'h2', 'qemu'));
  expect(statSync(join(folder, 'h2', 'qemu')).mode & 0o777).toBe(0o700);
});

test('a service that was killed with -9 leaves no lock', async () => {
  const child = await holder();
  expect(await refusal(folder)).toContain(`(pid ${child.pid})`);
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  (await lockFolder(folder))[Symbol.dispose]();
});

test('a service that does not answer still has its folder', async () => {
  const child = await holder();
  child.kill('SIGSTOP');
  expect(await refusal(folder)).toContain('(pid unknown)');
});
