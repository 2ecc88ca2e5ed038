import type { ChainDocument, ChainLayer } from '@virtbus/shared';
import { formatDevice, parseDevice } from './device';
import { givenChain, withChain } from './disk-chain';
import type { Disk } from './elements/disk';

const disk = (xml: string): Disk => {
  const device = parseDevice(xml);
  if (device.list !== 'disks') throw new Error('no disk');
  return device.value;
};
const shown = (value: Disk): string => formatDevice({ list: 'disks', value }).replaceAll(/>\s+</g, '><');
const layer = (
  index: number,
  path: string,
  format: ChainLayer['format'],
  more: Partial<ChainLayer> = {},
): ChainLayer => ({
  ...{ index, location: { type: 'file', path }, format, formatKnown: 'recorded' },
  ...more,
});
const chain = (...layers: ChainLayer[]): ChainDocument => ({ version: 1, layers });

const file = `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/top'/>`;
const target = `<target dev='vda' bus='virtio'/></disk>`;

describe('the chain that a document gives', () => {
  test('is its active layer, those below in order, and whether it ends there', () => {
    const below = (end: string): string =>
      `<backingStore type='block'><format type='qcow2'/><source dev='/dev/x'/><backingStore type='network'><format type='raw'/><source protocol='nbd' name='e'><host name='h' port='1'/></source>${end}</backingStore></backingStore>`;
    const images = [
      { location: { type: 'file', path: '/top' }, format: 'qcow2' },
      { location: { type: 'block', path: '/dev/x' }, format: 'qcow2' },
      {
        location: { type: 'network', protocol: 'nbd', name: 'e', hosts: [{ transport: 'tcp', name: 'h', port: 1 }] },
        format: 'raw',
      },
    ];
    expect(givenChain(disk(`${file}${below('')}${target}`))).toEqual({ images, ended: false });
    expect(givenChain(disk(`${file}${below('<backingStore/>')}${target}`))).toEqual({ images, ended: true });
    expect(givenChain(disk(`${file}<backingStore/>${target}`))).toMatchObject({ ended: true });
  });

  test('is none for a drive without a medium', () => {
    expect(givenChain(disk(`<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>`))).toBeUndefined();
  });
});

describe('a disk shown with its chain', () => {
  test('has every layer and an end, and keeps what the document says of those it gives', () => {
    const given = `${file}<backingStore type='file'><format type='qcow2'><metadata_cache><max_size unit='bytes'>1024</max_size></metadata_cache></format><source file='/mid'/></backingStore>${target}`;
    const whole = withChain(
      disk(given),
      chain(layer(0, '/top', 'qcow2'), layer(1, '/mid', 'qcow2'), layer(2, '/base', 'raw')),
    );
    expect(shown(whole)).toContain('max_size');
    expect(shown(whole)).toContain(
      `<backingStore type='file'><format type='raw'/><source file='/base'/><backingStore/></backingStore></backingStore>`,
    );
  });

  test('names the data file that a header names', () => {
    const data = { location: { type: 'file', path: '/data' }, raw: true } as const;
    const whole = withChain(disk(`${file}${target}`), chain(layer(0, '/top', 'qcow2', { dataFile: data })));
    expect(shown(whole)).toContain(`<dataStore type='file'><format type='raw'/><source file='/data'/></dataStore>`);
  });

  test('that was a volume is the file that the volume is', () => {
    const volume = disk(`<disk type='volume'><source pool='p' volume='v'/><target dev='vda' bus='virtio'/></disk>`);
    const whole = withChain(volume, chain(layer(0, '/pool/v', 'qcow2', { formatKnown: 'created' })));
    expect(shown(whole)).toContain(`type='file'`);
    expect(shown(whole)).toContain(`<source file='/pool/v' pool='p' volume='v'/>`);
    expect(whole.driver?.type).toBe('qcow2');
  });

  test.each([
    `<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='pool/image'><host name='m1' port='6789'/><snapshot name='s'/><config file='/etc/ceph.conf'/></source>${target}`,
    `<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='https' name='i.iso' query='a=b'><host name='h' port='443'/><ssl verify='no'/><readahead size='64'/><timeout seconds='9'/></source>${target}`,
    `<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd' name='e'><host transport='unix' socket='/run/x'/></source>${target}`,
    `<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/a'><slices><slice type='storage' offset='512' size='1024'/></slices></source>${target}`,
  ])('below another says the same of a place as the document does: %s', (xml) => {
    const original = disk(xml);
    const [{ location }] = givenChain(original)!.images;
    const under = withChain(
      disk(`${file}${target}`),
      chain(layer(0, '/top', 'qcow2'), layer(1, '', 'raw', { location })),
    );
    expect(under.backingStore?.source).toEqual(original.source);
    expect(under.backingStore?.type).toBe(original.type);
  });
});
