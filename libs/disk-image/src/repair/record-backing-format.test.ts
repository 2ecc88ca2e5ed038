import { readHeader } from '../header/read-header';
import { planBackingFormat } from './record-backing-format';

const reader = (bytes: Buffer) => ({
  size: bytes.length,
  read: (offset: number, length: number) => Promise.resolve(bytes.subarray(offset, offset + length)),
});

/** An overlay without recorded format as qemu-img lays it out: feature table, end mark, and the name right behind. */
function overlay(nameAt: number, name: string): Buffer {
  const bytes = Buffer.alloc(4 * 65536);
  bytes.write('QFI\xfb', 0, 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeBigUInt64BE(BigInt(nameAt), 8);
  bytes.writeUInt32BE(name.length, 16);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(1048576n, 24);
  bytes.writeUInt32BE(1, 36);
  bytes.writeBigUInt64BE(0x30000n, 40);
  bytes.writeBigUInt64BE(0x10000n, 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(112, 100);
  bytes.writeUInt32BE(0x6803f857, 112);
  bytes.writeUInt32BE(384, 116);
  bytes.fill(0x41, 120, 504);
  bytes.write(name, nameAt);
  return bytes;
}

const sector = 512;

/** The image after a power cut: any of the sectors that a write touches may have come to disk. */
function* torn(image: Buffer, { offset, bytes }: { offset: number; bytes: Buffer }): Generator<Buffer> {
  const cuts = [offset];
  for (let at = offset + sector - (offset % sector); at < offset + bytes.length; at += sector) cuts.push(at);
  for (let chosen = 0; chosen < 1 << cuts.length; chosen++) {
    const after = Buffer.from(image);
    cuts.forEach((from, n) => {
      const to = cuts[n + 1] ?? offset + bytes.length;
      if (chosen & (1 << n)) bytes.copy(after, from, from - offset, to - offset);
    });
    yield after;
  }
}

const cases: [string, number, string][] = [
  ['right behind the end mark', 512, 'base.qcow2'],
  ['right behind the end mark, and long', 512, `/${'long/'.repeat(200)}base`],
  ['far away', 60000, 'base.qcow2'],
];

test.each(cases)(
  'whenever the power fails, an overlay with its name %s is as before or repaired',
  async (_, at, name) => {
    const image = overlay(at, name);
    const backing = async (bytes: Buffer) => (await readHeader(reader(bytes), { image: 'a', format: 'qcow2' })).backing;
    for (const write of await planBackingFormat(reader(image), 'a', 'qcow2')) {
      for (const after of torn(image, write)) {
        expect([{ string: name }, { string: name, format: 'qcow2' }]).toContainEqual(await backing(after));
      }
      write.bytes.copy(image, write.offset);
    }
    expect(await backing(image)).toEqual({ string: name, format: 'qcow2' });
  },
);
