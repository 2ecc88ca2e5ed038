import { withChain } from '../disk-chain';
import { formatDomain, parseDomain } from '../parse-domain';
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import {
  afterPivot,
  checkTargetOf,
  definedWithOverlay,
  definedWithoutLayers,
  definedWithSource,
  deviceImage,
  diskImages,
  diskNamed,
  isChainEnded,
  namedLayers,
  noSuchImage,
  withMirror,
  withOverlay,
  withoutLayers,
  type DiskImage,
} from '.';

function domainOf(disks: string, mode: 'live' | 'inactive' = 'live'): Domain {
  const xml = `<domain type='qemu'><name>web1</name><memory>65536</memory><os><type arch='x86_64' machine='pc'>hvm</type></os>
    <devices>${disks}</devices></domain>`;
  return parseDomain(xml, { mode }).domain;
}

/** A disk of qcow2 images `/i/<name>`, top first, with their numbers. */
function diskXml(names: readonly string[], { target = 'vda', ended = true, first = 1, more = '' } = {}): string {
  const below = names
    .slice(1)
    .reduceRight(
      (inner, name, at) =>
        `<backingStore type='file' index='${first + at + 1}'><format type='qcow2'/><source file='/i/${name}'/>${inner}</backingStore>`,
      ended ? '<backingStore/>' : '',
    );
  return `<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
    <source file='/i/${names[0]}' index='${first}' startupPolicy='optional'/>${below}<target dev='${target}' bus='virtio'/>${more}</disk>`;
}

const diskOf = (
  names: readonly string[],
  how: Parameters<typeof diskXml>[1] = {},
  mode: 'live' | 'inactive' = 'live',
) => domainOf(diskXml(names, how), mode).devices.disks[0] as Disk;

const image = (name: string, index?: number): DiskImage => ({
  type: 'file',
  source: { file: `/i/${name}`, hosts: [], seclabels: [], ...(index !== undefined && { index }) },
  format: { type: 'qcow2' },
});

/** `top=4 mid=2 base=3 end` */
function told(disk: Disk): string {
  const images = diskImages(disk).map(({ source: { file = '', index } }) => `${file.slice(3)}=${index ?? '-'}`);
  return [...images, ...(isChainEnded(disk) ? ['end'] : [])].join(' ');
}

describe('a chain in the live document', () => {
  const disk = diskOf(['top', 'mid', 'low', 'base']);

  test('has its images from the top down with their numbers', () => {
    expect(told(disk)).toBe('top=1 mid=2 low=3 base=4 end');
  });

  test('gets a snapshot overlay on top, and everything else keeps its number', () => {
    const changed = withOverlay(disk, image('snap', 7));
    expect(told(changed)).toBe('snap=7 top=1 mid=2 low=3 base=4 end');
    expect(changed.driver).toMatchObject({ type: 'qcow2', cache: 'none' });
    expect(changed.source?.startupPolicy).toBe('optional');
    expect(changed.backingStore?.source?.startupPolicy).toBeUndefined();
  });

  test.each([
    ['a commit of images in the middle', 1, 3, 'top=1 base=4 end'],
    ['a pull to a base', 1, 2, 'top=1 low=3 base=4 end'],
    ['a pull of everything', 1, undefined, 'top=1 end'],
    ['a commit of the active layer', 0, 2, 'low=3 base=4 end'],
  ])('after %s it is %#', (_, first, base, expected) => {
    expect(told(withoutLayers(disk, first, base))).toBe(expected);
  });

  test('is as it was to everybody who holds the old one', () => {
    const before = JSON.stringify(disk);
    const changed = withOverlay(disk, image('snap', 7));
    (changed.backingStore?.source as { file?: string }).file = '/elsewhere';
    withoutLayers(disk, 1, undefined);
    expect(JSON.stringify(disk)).toBe(before);
  });

  test('shows the mirror of a copy, and becomes it at the pivot', () => {
    const copying = withMirror(disk, { image: image('copy', 9), job: 'copy', below: [], ended: true });
    const domain = domainOf('');
    domain.devices.disks = [withMirror(copying, { image: image('copy', 9), job: 'copy', ready: 'yes', ended: true })];
    const xml = formatDomain(domain, { view: 'live' });
    expect(xml).toContain(`<mirror type='file' file='/i/copy' format='qcow2' job='copy' ready='yes'>`);
    expect(xml).toContain(`<source file='/i/copy' index='9'/>`);
    expect(formatDomain(domain, { view: 'inactive' })).not.toContain('mirror');
    expect(told(afterPivot(copying))).toBe('copy=9 end');
  });

  test('of a shallow copy goes on below the mirror', () => {
    expect(told(afterPivot(withMirror(disk, { image: image('copy', 9), job: 'copy' })))).toBe(
      'copy=9 mid=2 low=3 base=4 end',
    );
  });

  test('of a committed active layer begins at its base', () => {
    const committing = withMirror(disk, { image: image('low', 3), job: 'active-commit', ready: 'yes' });
    expect(told(afterPivot(committing))).toBe('low=3 base=4 end');
    expect(afterPivot(committing).mirror).toBeUndefined();
  });
});

describe('the disk of the definition', () => {
  const live = diskOf(['top', 'mid', 'base']);
  const plain = diskOf(['top'], { ended: false }, 'inactive');
  const whole = diskOf(['top', 'mid', 'base'], {}, 'inactive');
  const other = diskOf(['other'], { ended: false }, 'inactive');

  test('gets a snapshot when it is about the same image, without numbers', () => {
    expect(told(definedWithOverlay(plain, live, image('snap', 7)))).toBe('snap=- top=-');
    expect(told(definedWithOverlay(whole, live, image('snap', 7)))).toBe('snap=- top=- mid=- base=- end');
    expect(told(definedWithOverlay(other, live, image('snap', 7)))).toBe('other=-');
  });

  test('that names a volume follows too: below an overlay it is the file that the volume is', () => {
    const volume = domainOf(
      `<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/><source pool='p' volume='v'/><target dev='vda'/></disk>`,
      'inactive',
    ).devices.disks[0] as Disk;
    const place = { type: 'file', path: '/i/v' } as const;
    const layer = { index: 0, location: place, format: 'qcow2', formatKnown: 'created' } as const;
    const running = withChain(volume, { version: 1, layers: [layer] });
    expect(told(definedWithOverlay(volume, running, image('snap', 7)))).toBe('snap=- v=-');
    expect(definedWithOverlay(volume, running, image('snap', 7)).backingStore?.source?.volume).toBeUndefined();
    const elsewhere = withChain(
      { ...volume, source: { ...volume.source!, volume: 'w' } },
      { version: 1, layers: [layer] },
    );
    expect(definedWithOverlay(volume, elsewhere, image('snap', 7)).type).toBe('volume');
    expect(definedWithoutLayers(volume, withOverlay(running, image('snap', 7)), 1, undefined)).toEqual(volume);
  });

  test('loses what a pull took when it names the same chain', () => {
    expect(told(definedWithoutLayers(whole, live, 1, 2))).toBe('top=- base=- end');
    expect(told(definedWithoutLayers(whole, live, 1, undefined))).toBe('top=- end');
  });

  test('no longer tells what lies below when its chain is another', () => {
    const differs = diskOf(['top', 'changed', 'base'], {}, 'inactive');
    expect(told(definedWithoutLayers(differs, live, 1, 2))).toBe('top=-');
    expect(told(definedWithoutLayers(plain, live, 1, 2))).toBe('top=-');
    expect(told(definedWithoutLayers(other, live, 1, 2))).toBe('other=-');
  });

  test('stands on the base after a commit of the active layer, however much it told', () => {
    expect(told(definedWithSource(whole, live, image('mid', 2), { base: 1 }))).toBe('mid=- base=- end');
    expect(told(definedWithSource(plain, live, image('mid', 2), { base: 1 }))).toBe('mid=-');
    expect(told(definedWithSource(other, live, image('mid', 2), { base: 1 }))).toBe('other=-');
  });

  test('stands on the copy after a copy, with what the user named below it', () => {
    expect(told(definedWithSource(whole, live, image('copy', 9)))).toBe('copy=-');
    expect(told(definedWithSource(plain, live, image('copy', 9), { given: [image('under', 10)], ended: true }))).toBe(
      'copy=- under=- end',
    );
  });
});

describe('a disk or an image is found by what callers say', () => {
  const domain = domainOf(
    diskXml(['top', 'base']) +
      diskXml(['data'], { target: 'vdb', first: 3 }) +
      diskXml(['data'], { target: 'vdc', first: 5 }),
  );

  test('by target, and by a path that one disk alone has', () => {
    expect(diskNamed(domain, 'vdb').target.dev).toBe('vdb');
    expect(diskNamed(domain, '/i/top').target.dev).toBe('vda');
    for (const name of ['vdz', '/i/data', '/i/base', ''])
      expect(() => diskNamed(domain, name)).toThrow(`invalid argument: disk '${name}' not found in domain`);
  });

  test('by its number, in the chain or in the mirror', () => {
    expect(deviceImage(domain, 'vda')).toMatchObject({ depth: 0, image: { source: { file: '/i/top' } } });
    expect(deviceImage(domain, 'vda[2]')).toMatchObject({ depth: 1, image: { source: { file: '/i/base' } } });
    const mirrored = {
      ...domain,
      devices: {
        ...domain.devices,
        disks: [withMirror(diskNamed(domain, 'vda'), { image: image('copy', 9), job: 'copy' })],
      },
    };
    expect(deviceImage(mirrored, 'vda[9]')).toMatchObject({ depth: undefined, image: { source: { file: '/i/copy' } } });
    for (const name of ['vda[3]', 'vda[0]', 'vdz', 'vdz[1]'])
      expect(() => deviceImage(domain, name)).toThrow(`invalid argument: failed to find disk '${name}'`);
    for (const name of ['', 'vda[', 'vda[x]', 'vda[1]x', '[1]', 'vda[99999999999999999999]'])
      expect(() => deviceImage(domain, name)).toThrow(`invalid argument: failed to parse block device '${name}'`);
  });

  test('and is told of in libvirt’s words when it is not there', () => {
    const disk = diskNamed(domain, 'vda');
    expect(namedLayers(disk)).toEqual([
      { location: { type: 'file', path: '/i/top' }, index: 1 },
      { location: { type: 'file', path: '/i/base' }, index: 2 },
    ]);
    expect(() => checkTargetOf(disk, 'vdb[2]')).toThrow(`requested target 'vdb' does not match target 'vda'`);
    expect(() => checkTargetOf(disk, 'vda[2]')).not.toThrow();
    expect(noSuchImage(disk, 'vda[8]').message).toContain(
      `could not find backing store index '8' in chain for '/i/top'`,
    );
    expect(noSuchImage(disk, '/x').message).toContain(`could not find image '/x' in chain for '/i/top'`);
    expect(noSuchImage(disk, '/x', 0).message).toContain(
      `could not find image '/x' beneath '/i/top' in chain for '/i/top'`,
    );
    expect(noSuchImage(disk, undefined).message).toContain(`could not find base image in chain for '/i/top'`);
  });
});
