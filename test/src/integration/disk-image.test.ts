/** Headers, chains and repair on images that qemu-img makes, some of them patched by hand. */
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, openSync, closeSync, readFileSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import {
  discoverChain,
  identityKey,
  localImages,
  probeFormat,
  readHeader,
  setBackingFormat,
  type ChainStart,
} from '@virtbus/disk-image';
import { ChainDocument, type ImageFormat } from '@virtbus/shared';
import { needsProgram, temporaryFolder, type TemporaryFolder } from '@virtbus/testkit';

const images = needsProgram('qemu-img');
let folder: TemporaryFolder;
beforeEach(() => (folder = temporaryFolder()));
afterEach(() => folder[Symbol.dispose]());

const open = localImages({ machine: 'here' });
const qemuImg = (...args: string[]): string =>
  execFileSync('qemu-img', args, { cwd: folder.path, stdio: 'pipe', encoding: 'utf8' });
const info = (name: string): Record<string, unknown> =>
  JSON.parse(qemuImg('info', '--output', 'json', name)) as Record<string, unknown>;
const at = (name: string, format?: ImageFormat): ChainStart => ({
  location: { type: 'file', path: folder.file(name) },
  format,
});
const discover = (start: ChainStart, policy?: 'compatible') =>
  discoverChain(start, { open, ...(policy && { policy }) });

function patch(name: string, offset: number, ...bytes: number[]): void {
  const file = openSync(folder.file(name), 'r+');
  writeSync(file, Buffer.from(bytes), 0, bytes.length, offset);
  closeSync(file);
}

/** An overlay as programs made it before they recorded formats: the extension becomes one that nobody knows. */
function overlayWithoutFormat(name: string, base: string, baseFormat = 'raw', ...options: string[]): void {
  qemuImg('create', '-f', 'qcow2', ...options, '-b', base, '-F', baseFormat, name);
  const at = readFileSync(folder.file(name)).indexOf(Buffer.from([0xe2, 0x79, 0x2a, 0xca]));
  patch(name, at, 0x12, 0x34, 0x56, 0x78);
}

describe('a header that qemu-img wrote', () => {
  const options: [string, ImageFormat, ...string[]][] = [
    ['raw', 'raw'],
    ['qcow', 'qcow'],
    ['qcow2', 'qcow2'],
    ['qcow2', 'qcow2', '-o', 'compat=0.10'],
    ['qcow2', 'qcow2', '-o', 'extended_l2=on,compression_type=zstd,lazy_refcounts=on,cluster_size=128k'],
    ['qcow2', 'qcow2', '-o', 'cluster_size=512'],
    ['qcow2', 'qcow2', '-o', 'data_file=there,data_file_raw=on'],
    ['qed', 'qed'],
    ['vdi', 'vdi'],
    ['vmdk', 'vmdk'],
    ['vpc', 'vpc'],
    ['vpc', 'vpc', '-o', 'force_size=on'],
    ['vhdx', 'vhdx'],
    ['parallels', 'ploop'],
  ];
  for (const [driver, format, ...more] of options) {
    images.test(`is read as ${[driver, ...more].join(' ')}`, async () => {
      qemuImg('create', '-f', driver, ...more, 'image', '8M');
      const image = await open({ type: 'file', path: folder.file('image') }, 'given');
      try {
        expect(await probeFormat(image!, 'image')).toBe(format);
        const header = await readHeader(image!, { image: 'image' });
        expect(Number(header.capacity)).toBe(info('image')['virtual-size']);
        expect(await readHeader(image!, { image: 'image', format })).toEqual(header);
      } finally {
        await image?.close();
      }
    });
  }

  images.test('tells the dirty bitmaps that it keeps, and none that do not count', async () => {
    qemuImg('create', '-q', '-f', 'qcow2', 'a.qcow2', '16M');
    const layer = async () => (await discover(at('a.qcow2', 'qcow2'))).layers[0]!;
    expect(await layer()).not.toHaveProperty('bitmaps');
    qemuImg('bitmap', '--add', '-g', '65536', 'a.qcow2', 'daily');
    qemuImg('bitmap', '--add', '-g', '1M', '--disable', 'a.qcow2', 'weekly');
    expect((await layer()).bitmaps).toEqual([
      { name: 'daily', granularity: 65536, recording: true, inUse: false },
      { name: 'weekly', granularity: 1048576, recording: false, inUse: false },
    ]);
    // Written by somebody who knew nothing of bitmaps: the feature bit that says otherwise is gone.
    patch('a.qcow2', 95, 0);
    expect(await layer()).not.toHaveProperty('bitmaps');
  });
});

describe('a backing chain', () => {
  images.test('of relative and absolute names is found whole', async () => {
    mkdirSync(folder.file('deep'));
    qemuImg('create', '-f', 'raw', 'deep/base', '1M');
    qemuImg('create', '-f', 'qcow2', '-b', 'base', '-F', 'raw', 'deep/mid');
    qemuImg('create', '-f', 'qcow2', '-b', folder.file('deep/mid'), '-F', 'qcow2', 'abs');
    qemuImg('create', '-f', 'qcow2', '-b', 'abs', '-F', 'qcow2', 'top');
    const chain = await discover(at('top', 'qcow2'));
    expect(ChainDocument.parse(chain)).toEqual(chain);
    expect(chain.layers).toMatchObject([
      {
        index: 0,
        format: 'qcow2',
        formatKnown: 'given',
        capacity: 1048576,
        backing: { string: 'abs', format: 'qcow2' },
      },
      { index: 1, format: 'qcow2', formatKnown: 'recorded', relPath: 'abs' },
      { index: 2, format: 'qcow2', formatKnown: 'recorded', location: { type: 'file', path: folder.file('deep/mid') } },
      {
        index: 3,
        format: 'raw',
        formatKnown: 'recorded',
        relPath: 'base',
        location: { path: folder.file('deep/base') },
      },
    ]);
    expect(chain.layers[2]).not.toHaveProperty('relPath');
  });

  images.test('with a format that nobody recorded is refused, with both images and the cure', async () => {
    qemuImg('create', '-f', 'raw', 'base', '1M');
    overlayWithoutFormat('top', 'base');
    await expect(discover(at('top', 'qcow2'))).rejects.toMatchObject({
      code: 'BACKING_FORMAT_MISSING',
      message: expect.stringMatching(
        /format of backing image 'base' of image '.*\/top' was not specified.*virtbus chain repair .*\/top --format FORMAT/,
      ) as string,
    });
  });

  images.test(
    'with such a format is accepted by policy compatible, as long as the image below names nothing',
    async () => {
      qemuImg('create', '-f', 'qcow2', 'base', '1M');
      overlayWithoutFormat('mid', 'base', 'qcow2');
      overlayWithoutFormat('top', 'mid', 'qcow2');
      expect((await discover(at('mid', 'qcow2'), 'compatible')).layers[1]).toMatchObject({
        format: 'qcow2',
        formatKnown: 'probed',
      });
      await expect(discover(at('top', 'qcow2'), 'compatible')).rejects.toMatchObject({
        code: 'BACKING_FORMAT_MISSING',
      });
      qemuImg('create', '-f', 'qcow2', '-o', 'data_file=data', 'split', '1M');
      overlayWithoutFormat('over', 'split', 'qcow2');
      await expect(discover(at('over', 'qcow2'), 'compatible')).rejects.toMatchObject({
        code: 'BACKING_FORMAT_MISSING',
      });
    },
  );

  for (const protocol of ['nbd', 'file']) {
    images.test(`whose overlay records the protocol ${protocol} has a raw layer, whatever lies in it`, async () => {
      qemuImg('create', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', '-u', 'base', '1M');
      qemuImg('create', '-f', 'qcow2', '-b', 'base', '-F', protocol, '-u', 'top', '1M');
      const { layers } = await discover(at('top', 'qcow2'));
      expect(layers).toHaveLength(2);
      expect(layers[1]).toMatchObject({ format: 'raw', formatKnown: 'recorded' });
    });
  }

  images.test('of a raw disk ends there, when its guest writes a header that names /etc/shadow', async () => {
    qemuImg('create', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', '-u', 'disk', '1M');
    for (const format of ['raw', undefined] as const) {
      const { layers } = await discover(at('disk', format));
      expect(layers).toMatchObject([{ format: 'raw', formatKnown: format ? 'given' : 'default' }]);
      expect(layers[0]).not.toHaveProperty('backing');
    }
  });

  images.test('that stands on itself is refused, through other names too', async () => {
    qemuImg('create', '-f', 'qcow2', '-b', 'other', '-F', 'qcow2', '-u', 'one', '1M');
    linkSync(folder.file('one'), folder.file('other'));
    await expect(discover(at('one', 'qcow2'))).rejects.toThrow(/self-referential or too deeply nested/);
  });

  images.test('deeper than allowed is refused', async () => {
    qemuImg('create', '-f', 'raw', 'l0', '1M');
    for (let n = 1; n < 5; n++) {
      qemuImg('create', '-f', 'qcow2', '-b', `l${n - 1}`, '-F', n === 1 ? 'raw' : 'qcow2', `l${n}`);
    }
    expect((await discoverChain(at('l4', 'qcow2'), { open, maxDepth: 5 })).layers).toHaveLength(5);
    await expect(discoverChain(at('l4', 'qcow2'), { open, maxDepth: 4 })).rejects.toThrow(/too deeply nested/);
  });

  const forbidden: [what: string, name: () => string][] = [
    ['a kernel file', () => '/proc/self/environ'],
    ['a character device', () => '/dev/zero'],
    ['a folder', () => '/etc'],
    [
      'a fifo',
      () => {
        execFileSync('mkfifo', [folder.file('fifo')]);
        return folder.file('fifo');
      },
    ],
    [
      'a symbolic link to a kernel file',
      () => {
        symlinkSync('/proc/self/status', folder.file('link'));
        return folder.file('link');
      },
    ],
  ];
  for (const [what, name] of forbidden) {
    images.test(`that names ${what} is refused, and so is such a data file`, async () => {
      const path = name();
      qemuImg('create', '-f', 'qcow2', '-b', path, '-F', 'raw', '-u', 'top', '1M');
      await expect(discover(at('top', 'qcow2'))).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
      qemuImg('create', '-f', 'qcow2', '-o', `data_file=${'x'.repeat(path.length)}`, 'split', '1M');
      patch('split', 120, ...Buffer.from(path));
      await expect(discover(at('split', 'qcow2'))).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
    });
  }

  images.test('that misses an image says which, and who names it', async () => {
    qemuImg('create', '-f', 'qcow2', '-b', 'gone', '-F', 'raw', '-u', 'top', '1M');
    await expect(discover(at('top', 'qcow2'))).rejects.toMatchObject({
      code: 'SYSTEM_ERROR',
      message: expect.stringMatching(
        /'.*\/gone': No such file or directory \(the backing file of '.*\/top'\)/,
      ) as string,
    });
  });

  images.test('that the document gives and ends is not followed further', async () => {
    qemuImg('create', '-f', 'raw', 'base', '1M');
    qemuImg('create', '-f', 'qcow2', '-b', 'gone', '-F', 'qcow2', '-u', 'top', '1M');
    const start = { ...at('top', 'qcow2'), below: [at('base', 'raw')], ended: true };
    expect((await discover(start)).layers).toMatchObject([
      { formatKnown: 'given' },
      { format: 'raw', formatKnown: 'given' },
    ]);
    const { layers } = await discover({ ...at('top', 'qcow2'), ended: true });
    expect(layers).toHaveLength(1);
  });

  images.test('with an NBD layer knows its place, and does not guess what lies below it', async () => {
    qemuImg('create', '-f', 'qcow2', '-b', 'nbd://h/x', '-F', 'raw', '-u', 'top', '1M');
    expect((await discover(at('top', 'qcow2'))).layers[1]).toEqual({
      index: 1,
      location: { type: 'network', protocol: 'nbd', name: 'x', hosts: [{ transport: 'tcp', name: 'h', port: 10809 }] },
      format: 'raw',
      formatKnown: 'recorded',
      identity: { kind: 'network', uri: 'nbd://h:10809/x' },
    });
    qemuImg('create', '-f', 'qcow2', '-b', 'nbd://h/x', '-F', 'qcow2', '-u', 'top', '1M');
    await expect(discover(at('top', 'qcow2'))).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  images.test('has one identity for an image, whatever its name', async () => {
    qemuImg('create', '-f', 'raw', 'disk', '1M');
    linkSync(folder.file('disk'), folder.file('hard'));
    symlinkSync('disk', folder.file('soft'));
    const key = async (name: string) => identityKey((await discover(at(name, 'raw'))).layers[0]!.identity!);
    expect(await key('hard')).toBe(await key('disk'));
    expect(await key('soft')).toBe(await key('disk'));
    writeFileSync(folder.file('other'), '');
    expect(await key('other')).not.toBe(await key('disk'));
  });
});

describe('repair', () => {
  const layouts: [what: string, ...options: string[]][] = [
    ['of today'],
    ['of version 2', '-o', 'compat=0.10'],
    ['with clusters of 1 KiB', '-o', 'cluster_size=1k'],
  ];
  for (const [what, ...options] of layouts) {
    images.test(`records the format in a header ${what}, and the overlay starts`, async () => {
      qemuImg('create', '-f', 'raw', 'base', '1M');
      overlayWithoutFormat('top', 'base', 'raw', ...options);
      await setBackingFormat(folder.file('top'), 'raw');
      expect((await discover(at('top', 'qcow2'))).layers[1]).toMatchObject({ format: 'raw', relPath: 'base' });
      expect(info('top')).toMatchObject({ 'backing-filename': 'base', 'backing-filename-format': 'raw' });
      expect(qemuImg('check', 'top')).toContain('No errors');
      await expect(setBackingFormat(folder.file('top'), 'raw')).rejects.toMatchObject({ code: 'OPERATION_INVALID' });
    });
  }

  images.test('without room, without a base, or on what is no qcow2 image changes nothing', async () => {
    const base = 'b'.repeat(220);
    qemuImg('create', '-f', 'raw', base, '1M');
    overlayWithoutFormat(
      'full',
      `./././././././././././././././././././././././././././././${base}`,
      'raw',
      '-o',
      'cluster_size=512',
    );
    qemuImg('create', '-f', 'qcow2', 'alone', '1M');
    writeFileSync(folder.file('text'), 'no image'.repeat(1000));
    for (const name of ['full', 'alone', 'text']) {
      const before = readFileSync(folder.file(name));
      await expect(setBackingFormat(folder.file(name), 'raw')).rejects.toHaveProperty('code');
      expect(readFileSync(folder.file(name)).equals(before)).toBe(true);
    }
  });
});
