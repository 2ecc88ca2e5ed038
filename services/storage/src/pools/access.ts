/**
 * Two ways to ask a file system: a local one answers sooner than another thread could be asked, a server may not answer at
 * all and must keep nobody else waiting.
 */
import * as fs from 'node:fs';
import { constants, type Stats } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';

export interface Access {
  /** It answers at once: whoever asks a lot lets others have a turn now and then. */
  readonly immediate: boolean;
  stat(path: string): Promise<Stats>;
  /** For reading, without waiting for anybody. */
  open(path: string): Promise<number>;
  fstat(fd: number): Promise<Stats>;
  /** How many bytes came. */
  read(fd: number, buffer: Uint8Array, position: number): Promise<number>;
  close(fd: number): Promise<void>;
}

const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

const atOnce: Access = {
  immediate: true,
  stat: async (path) => fs.statSync(path),
  open: async (path) => fs.openSync(path, flags),
  fstat: async (fd) => fs.fstatSync(fd),
  read: async (fd, buffer, position) => fs.readSync(fd, buffer, 0, buffer.length, position),
  close: async (fd) => fs.closeSync(fd),
};

const [stat, open, fstat, close] = [promisify(fs.stat), promisify(fs.open), promisify(fs.fstat), promisify(fs.close)];
const read = promisify(fs.read);

/** For any file system. */
export const inThreads: Access = {
  immediate: false,
  stat: (path) => stat(path),
  open: (path) => open(path, flags),
  fstat: (fd) => fstat(fd),
  read: async (fd, buffer, position) => (await read(fd, buffer, 0, buffer.length, position)).bytesRead,
  close: (fd) => close(fd),
};

/** statfs(2): ext, xfs, btrfs, tmpfs, overlayfs, zfs, f2fs. */
const localFileSystems = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010]);

export async function accessTo(folder: string): Promise<Access> {
  return localFileSystems.has((await statfs(folder)).type) ? atOnce : inThreads;
}
