/**
 * The header of a save image, as libvirt writes it: so that a guest saved here can be restored there, and back.
 *
 *   0   magic, 16 bytes: `LibvirtQemudPart` while it is being written, `LibvirtQemudSave` when it is whole
 *   16  19 × u32 in the writer's byte order: version 2, length of the data, was running, compression, offset of the
 *       cookie, 14 unused
 *   92  the domain document, NUL terminated, padded to the length of the data; then QEMU's stream
 *
 * Source: facts on libvirt's virQEMUSaveHeader, 11.3.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { VirtError } from '@virtbus/shared';

const part = 'LibvirtQemudPart';
const whole = 'LibvirtQemudSave';
const headerBytes = 92;
const version = 2;
/** A document larger than this in an image is no document, bytes. */
const maxData = 16 * 1024 * 1024;
const formats = ['raw', 'gzip', 'bzip2', 'xz', 'lzop', 'zstd', 'sparse'];

export interface SaveImage {
  xml: string;
  running: boolean;
  /** Where QEMU's stream begins, bytes. */
  streamStart: number;
}

/** Write the header of an unfinished image. Returns where the stream begins, at a block boundary. */
export async function writeHeader(file: FileHandle, xml: string, running: boolean): Promise<number> {
  const document = Buffer.from(`${xml}\0`, 'utf8');
  const streamStart = Math.ceil((headerBytes + document.length) / 4096) * 4096;
  const header = Buffer.alloc(streamStart);
  header.write(part, 0, 'latin1');
  header.writeUInt32LE(version, 16);
  header.writeUInt32LE(streamStart - headerBytes, 20);
  header.writeUInt32LE(running ? 1 : 0, 24);
  document.copy(header, headerBytes);
  await file.write(header, 0, header.length, 0);
  return streamStart;
}

/** All of it is there. It can be given up until it is marked as whole. */
export async function finish(file: FileHandle, signal: AbortSignal): Promise<void> {
  await file.sync();
  signal.throwIfAborted();
  await file.write(Buffer.from(whole, 'latin1'), 0, whole.length, 0);
  await file.sync();
}

export async function readSaveImage(path: string): Promise<SaveImage> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'permission denied' : (cause as Error).message;
    throw new VirtError('OPERATION_FAILED', { detail: `cannot open the save image ${path}: ${why}` }, { cause });
  }
  try {
    return await read(file, path);
  } finally {
    await file.close();
  }
}

async function read(file: FileHandle, path: string): Promise<SaveImage> {
  const bad = (why: string): VirtError => new VirtError('OPERATION_FAILED', { detail: `${path} ${why}` });
  const header = Buffer.alloc(headerBytes);
  const { bytesRead } = await file.read(header, 0, headerBytes, 0);
  const magic = header.toString('latin1', 0, 16);
  if (bytesRead < headerBytes || (magic !== whole && magic !== part)) throw bad('is not a save image');
  if (magic === part) throw bad('is corrupt: the save was never finished');
  const little = header.readUInt32LE(16) === version;
  if (!little && header.readUInt32BE(16) !== version) throw bad('is of a version this host does not know');
  const field = (n: number): number => (little ? header.readUInt32LE(16 + 4 * n) : header.readUInt32BE(16 + 4 * n));
  const [length, running, format, cookie] = [field(1), field(2), field(3), field(4)] as const;
  if (format !== 0) throw bad(`is compressed (${formats[format] ?? format}); only raw images can be restored here`);
  if (length === 0 || length > maxData) throw bad('has a header that makes no sense');
  const data = Buffer.alloc(length);
  if ((await file.read(data, 0, length, headerBytes)).bytesRead < length) throw bad('is cut short');
  const end = data.indexOf(0);
  const xml = data.toString('utf8', 0, Math.min(end < 0 ? length : end, cookie || length));
  return { xml, running: running !== 0, streamStart: headerBytes + length };
}
