/** Which disks a start can do without. */
import { parseDomain } from './parse-domain';
import { dispensableDisks, withoutDisks } from './startup-policy';

const policies = ['mandatory', 'requisite', 'optional'] as const;
const disk = (device: string, policy: string, target: string): string =>
  `<disk type='file' device='${device}'><source file='/${target}' startupPolicy='${policy}'/><target dev='${target}'/></disk>`;
const domain = (...disks: string[]) =>
  parseDomain(
    `<domain type='qemu'><name>d</name><memory>1</memory><os><type>hvm</type></os><devices>${disks.join('')}</devices></domain>`,
    { mode: 'inactive', unknown: 'refuse' },
  ).domain;

const all = domain(
  ...['cdrom', 'floppy', 'disk'].flatMap((device) =>
    policies.map((policy) => disk(device, policy, `${device}-${policy}`)),
  ),
  `<disk type='file' device='cdrom'><source startupPolicy='optional'/><target dev='empty'/></disk>`,
);

test('a boot does without what is optional', () => {
  expect(dispensableDisks(all, 'boot')).toEqual(['cdrom-optional', 'floppy-optional', 'disk-optional']);
});

test('a restore does without media that are not mandatory, and with every hard disk', () => {
  const media = ['cdrom', 'floppy'].flatMap((device) => [`${device}-requisite`, `${device}-optional`]);
  expect(dispensableDisks(all, 'restore')).toEqual(media);
});

test('a document without missing disks has empty drives and fewer disks, and is its own', () => {
  const { domain: left, dropped } = withoutDisks(all, new Set(['cdrom-optional', 'disk-optional']));
  expect(left.devices.disks.find(({ target }) => target.dev === 'cdrom-optional')?.source).toBeUndefined();
  expect(left.devices.disks).toHaveLength(all.devices.disks.length - 1);
  expect(dropped).toMatchObject([
    { target: 'cdrom-optional', source: '/cdrom-optional', emptied: true },
    { target: 'disk-optional', source: '/disk-optional', emptied: false },
  ]);
  expect(dispensableDisks(all, 'boot')).toHaveLength(3);
});
