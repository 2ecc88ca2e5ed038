/** Images and chains for tests of storage: made with qemu-img, read by guests. */
import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { openConsole, qmpCommand } from '@virtbus/shared';
import { call, clientStream, newId, type Bus } from '@virtbus/shared/bus';
import { eventually } from '@virtbus/testkit';

/** Run qemu-img; what it prints. */
export function qemuImg(...args: string[]): string {
  return execFileSync('qemu-img', args, { encoding: 'utf8' });
}

/** A raw image that begins with these words, bytes of size. */
export function rawImage(path: string, words: string, size = 4 * 1024 * 1024): string {
  qemuImg('create', '-q', '-f', 'raw', path, String(size));
  const file = openSync(path, 'r+');
  writeSync(file, words, 0);
  closeSync(file);
  chmodSync(path, 0o644);
  return path;
}

/** A qcow2 overlay on a base whose format is recorded. */
export function overlay(path: string, base: string, format: string): string {
  qemuImg('create', '-q', '-f', 'qcow2', '-F', format, '-b', base, path);
  return path;
}

const formatExtension = 0xe2792aca;

/** Take the recorded backing format out of a qcow2 header, as images of old have it: its extension becomes an unknown one. */
export function forgetBackingFormat(path: string): void {
  const header = readFileSync(path).subarray(0, 4096);
  for (
    let at = header.readUInt32BE(100);
    at < header.length;
    at += 8 + Math.ceil(header.readUInt32BE(at + 4) / 8) * 8
  ) {
    if (header.readUInt32BE(at) === 0) break;
    if (header.readUInt32BE(at) !== formatExtension) continue;
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.from([0x12, 0x34, 0x56, 0x78]), 0, 4, at);
    closeSync(file);
    return;
  }
  throw new Error(`${path} records no backing format`);
}

/** A `<disk>` of a file. */
export function disk(path: string, format: string, more = '', target = 'vda'): string {
  return `<disk type='file' device='disk'><driver name='qemu' type='${format}'/><source file='${path}'/><target dev='${target}' bus='virtio'/>${more}</disk>`;
}

/** Type a command into the guest's shell and wait until the console shows what it should print. */
export async function guestSays(bus: Bus, domain: string, command: string, words: string): Promise<void> {
  let text = '';
  const session = newId();
  const decoder = new TextDecoder();
  const stream = clientStream(bus, session, (bytes) => void (text += decoder.decode(bytes, { stream: true })));
  const { input } = await call(bus, openConsole, { session, force: true, backlog: 0 }, { target: domain });
  stream.connect(input);
  await stream.write(new TextEncoder().encode(`${command}\n`));
  await eventually(() => text.includes(words), true, { timeoutMs: 60_000 });
  stream.end();
}

/** Names of QEMU's block nodes. */
export async function nodeNames(bus: Bus, domain: string): Promise<string[]> {
  const execute = 'query-named-block-nodes';
  const { result } = await call(bus, qmpCommand, { execute, arguments: { flat: true } }, { target: domain });
  return (result as { 'node-name': string }[]).map((node) => node['node-name']).sort();
}
