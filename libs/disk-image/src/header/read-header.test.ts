import { VirtError } from '@virtbus/shared';
import { probeFormat, readHeader } from './read-header';

const reader = (bytes: Buffer) => ({
  size: bytes.length,
  read: (offset: number, length: number) => Promise.resolve(bytes.subarray(offset, offset + length)),
});
const read = (bytes: Buffer, format?: 'qcow2' | 'qcow' | 'qed' | 'vmdk' | 'cow' | 'vdi' | 'vpc') =>
  readHeader(reader(bytes), { image: 'a', ...(format && { format }) });

/** A version 3 image of 1 MiB as qemu-img writes it, with a place for a backing name. */
function qcow2(change: (bytes: Buffer) => void = () => undefined): Buffer {
  const bytes = Buffer.alloc(4 * 65536);
  bytes.write('QFI\xfb', 0, 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(1048576n, 24);
  bytes.writeUInt32BE(1, 36);
  bytes.writeBigUInt64BE(0x30000n, 40);
  bytes.writeBigUInt64BE(0x10000n, 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(112, 100);
  change(bytes);
  return bytes;
}

function extension(bytes: Buffer, at: number, magic: number, text: string): void {
  bytes.writeUInt32BE(magic, at);
  bytes.writeUInt32BE(text.length, at + 4);
  bytes.write(text, at + 8);
}

const backed = (format: string | undefined) =>
  qcow2((bytes) => {
    if (format !== undefined) extension(bytes, 112, 0xe2792aca, format);
    bytes.write('base.raw', 528);
    bytes.writeBigUInt64BE(528n, 8);
    bytes.writeUInt32BE(8, 16);
  });

describe('a qcow2 header', () => {
  test('tells size, backing file and its format', async () => {
    expect(await read(backed('raw'), 'qcow2')).toEqual({
      format: 'qcow2',
      capacity: 1048576n,
      backing: { string: 'base.raw', format: 'raw' },
      clusterSize: 65536,
      compat: '1.1',
      features: [],
    });
  });

  describe('with dirty bitmaps', () => {
    const entry = 0x20000;
    const bitmaps = (change: (bytes: Buffer) => void = () => undefined) =>
      qcow2((bytes) => {
        bytes.writeBigUInt64BE(1n, 88);
        bytes.writeUInt32BE(0x23852875, 112);
        bytes.writeUInt32BE(24, 116);
        bytes.writeUInt32BE(1, 120);
        bytes.writeBigUInt64BE(32n, 128);
        bytes.writeBigUInt64BE(BigInt(entry), 136);
        bytes.writeUInt32BE(3, entry + 12);
        bytes.writeUInt8(1, entry + 16);
        bytes.writeUInt8(16, entry + 17);
        bytes.writeUInt16BE(5, entry + 18);
        bytes.write('daily', entry + 24);
        change(bytes);
      });

    test('tells each by its name', async () => {
      expect((await read(bitmaps(), 'qcow2')).bitmaps).toEqual([
        { name: 'daily', granularity: 65536, recording: true, inUse: true },
      ]);
    });

    test.each<[string, (bytes: Buffer) => void]>([
      ['whose last writer knew nothing of them', (bytes) => bytes.writeBigUInt64BE(0n, 88)],
      ['in a directory beyond the end', (bytes) => bytes.writeBigUInt64BE(1n << 40n, 136)],
      ['in a directory of a gigabyte', (bytes) => bytes.writeBigUInt64BE(1n << 30n, 128)],
      ['that are more than the directory holds', (bytes) => bytes.writeUInt32BE(2, 120)],
      ['with a name that leaves the directory', (bytes) => bytes.writeUInt16BE(900, entry + 18)],
      ['with a granularity that is none', (bytes) => bytes.writeUInt8(64, entry + 17)],
    ])('tells none %s', async (_name, change) => {
      expect(await read(bitmaps(change), 'qcow2')).not.toHaveProperty('bitmaps');
    });
  });

  test.each(['nbd', 'file', 'host_device', 'https', 'nonsense'])('that records %s means raw', async (text) => {
    expect((await read(backed(text), 'qcow2')).backing).toEqual({
      string: 'base.raw',
      format: 'raw',
      formatText: text,
    });
  });

  test.each([
    ['nothing', undefined],
    ['an empty text', ''],
  ])('that records %s as format records none', async (_, text) => {
    expect((await read(backed(text), 'qcow2')).backing).toEqual({ string: 'base.raw' });
  });

  test('names its data file behind the padding of the extension before it', async () => {
    const image = qcow2((bytes) => {
      bytes.writeBigUInt64BE(4n, 72);
      bytes.writeBigUInt64BE(2n, 88);
      extension(bytes, 112, 0xe2792aca, 'raw');
      extension(bytes, 128, 0x44415441, 'ext.data');
    });
    expect(await read(image, 'qcow2')).toMatchObject({
      dataFile: { name: 'ext.data', raw: true },
      features: ['data_file'],
    });
  });

  test('says that it is encrypted, and has to have the header for it', async () => {
    const luks = (magic: number) =>
      qcow2((bytes) => {
        bytes.writeUInt32BE(2, 32);
        extension(bytes, 112, magic, '\0'.repeat(16));
      });
    expect(await read(luks(0x0537be77), 'qcow2')).toMatchObject({ encryption: 'luks' });
    await expect(read(luks(0x12345678), 'qcow2')).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  const hostile: [string, (bytes: Buffer) => void][] = [
    ['a backing name beyond the first cluster', (b) => b.writeBigUInt64BE(0xffffffffffffffffn, 8)],
    ['a backing name of 1024 bytes', (b) => void (b.writeBigUInt64BE(528n, 8), b.writeUInt32BE(1024, 16))],
    ['a backing name of 4 GiB', (b) => void (b.writeBigUInt64BE(528n, 8), b.writeUInt32BE(0xffffffff, 16))],
    ['a backing name with a zero byte', (b) => void (b.writeBigUInt64BE(528n, 8), b.writeUInt32BE(2, 16))],
    ['an extension of 4 GiB', (b) => void (b.writeUInt32BE(0xe2792aca, 112), b.writeUInt32BE(0xffffffff, 116))],
    ['a backing format of 16 bytes', (b) => extension(b, 112, 0xe2792aca, 'x'.repeat(16))],
    ['a header of 2 GiB', (b) => b.writeUInt32BE(0x7fffffff, 100)],
    ['clusters of 2^63', (b) => b.writeUInt32BE(63, 20)],
    ['an unknown feature', (b) => b.writeBigUInt64BE(1n << 40n, 72)],
    ['version 4', (b) => b.writeUInt32BE(4, 4)],
    ['2^64-1 bytes', (b) => b.writeBigUInt64BE(0xffffffffffffffffn, 24)],
    ['an L1 table beyond its end', (b) => b.writeBigUInt64BE(1n << 40n, 40)],
    ['an empty data-file name', (b) => void (b.writeBigUInt64BE(4n, 72), extension(b, 112, 0x44415441, ''))],
  ];
  test.each(hostile)('with %s is refused by name', async (_, change) => {
    const refusal = await read(qcow2(change), 'qcow2').catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(VirtError);
    expect(refusal).toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining("image 'a' is refused") as string,
    });
  });

  test('cut off at any byte is refused, never misread', async () => {
    const whole = backed('raw');
    for (let length = 0; length < 640; length += 7) {
      await expect(read(whole.subarray(0, length), 'qcow2')).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
    }
  });
});

test('a vmdk descriptor whose backing name QEMU would find and we would not is refused', async () => {
  const image = Buffer.alloc(65536);
  image.write('KDMV\x01', 0, 'latin1');
  image.write('# Disk DescriptorFile\nparentFileNameHint="base.vmdk"\n', 512);
  expect((await read(image, 'vmdk')).backing).toEqual({ string: 'base.vmdk' });
  image.write('?', image.indexOf('="base'));
  await expect(read(image, 'vmdk')).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
});

describe('what is declared', () => {
  test.each(['qcow2', 'qcow', 'qed', 'vmdk', 'cow', 'vdi', 'vpc'] as const)('%s has to be that', async (format) => {
    await expect(read(Buffer.alloc(65536), format)).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
    await expect(read(Buffer.alloc(0), format)).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  test('raw is never looked at', async () => {
    const untouched = { size: 4096, read: () => Promise.reject(new Error('read')) };
    expect(await readHeader(untouched, { image: 'a', format: 'raw' })).toEqual({ format: 'raw', capacity: 4096n });
  });
});

describe('probing', () => {
  const at = (offset: number, ...bytes: number[]) => {
    const image = Buffer.alloc(66000);
    image.set(bytes, offset);
    return image;
  };
  const text = (offset: number, mark: string) => at(offset, ...Buffer.from(mark, 'latin1'));
  const vpc = text(0, 'conectix');
  vpc.writeUInt32BE(0x10000, 12);
  const cow = text(0, 'OOOM\0\0\0\x02');

  test.each([
    ['qcow2', qcow2()],
    ['qcow', text(0, 'QFI\xfb\0\0\0\x01')],
    ['qed', text(0, 'QED\0')],
    ['vmdk', text(0, 'KDMV\x01\0\0\0')],
    ['vdi', at(64, 0x7f, 0x10, 0xda, 0xbe, 1, 0, 1, 0)],
    ['vpc', vpc],
    ['ploop', text(0, 'WithouFreSpacExt')],
    ['cow', cow],
    ['vhdx', text(0, 'vhdxfile')],
    ['iso', text(32769, 'CD001')],
    ['dmg', text(66000 - 512, 'koly')],
  ])('knows %s by its marks', async (format, image) => {
    expect(await probeFormat(reader(image), 'a')).toBe(format);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['one byte short of a mark', text(32769, 'CD001').subarray(0, 32773)],
    ['a version nobody knows', text(0, 'QFI\xfb\0\0\0\x09')],
  ])('takes %s for raw', async (_, image) => {
    expect(await probeFormat(reader(image), 'a')).toBe('raw');
  });

  test('finds LUKS in raw, and the size behind its header', async () => {
    const image = text(0, 'LUKS\xba\xbe\0\x01');
    image.writeUInt32BE(8, 104);
    expect(await read(image)).toEqual({ format: 'raw', capacity: 66000n - 4096n, encryption: 'luks' });
  });
});
