/**
 * The file calls that looking at an image takes, in two ways.
 *
 * `waiting` leaves them to threads: for file systems whose server may not answer. `blocking` is ten times as fast: for disks of this
 * machine, where a header is one page away.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type BigIntStats } from 'node:fs';
import { open } from 'node:fs/promises';

type Awaitable<T> = T | Promise<T>;

export interface OpenFile {
  readonly fd: number;
  stat(): Awaitable<BigIntStats>;
  /** How many bytes came: fewer than asked for, and 0 only at the end. */
  read(into: Uint8Array, at: number, length: number, position: number): Awaitable<number>;
  close(): Awaitable<void>;
}

export interface FileAccess {
  /** For reading; neither waits for a writer nor becomes our terminal. */
  open(path: string): Awaitable<OpenFile>;
}

const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

export const blocking: FileAccess = {
  open: (path) => {
    const fd = openSync(path, flags);
    return {
      fd,
      stat: () => fstatSync(fd, { bigint: true }),
      read: (into, at, length, position) => readSync(fd, into, at, length, position),
      close: () => closeSync(fd),
    };
  },
};

export const waiting: FileAccess = {
  open: async (path) => {
    const file = await open(path, flags);
    return {
      fd: file.fd,
      stat: () => file.stat({ bigint: true }),
      read: async (into, at, length, position) => (await file.read(into, at, length, position)).bytesRead,
      close: () => file.close(),
    };
  },
};
