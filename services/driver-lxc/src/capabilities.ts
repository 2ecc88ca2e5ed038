/** What this host and its containers can be asked for: libvirt's `<capabilities>` and `<domainCapabilities>`, and as JSON. */
import type { LxcCapabilities } from '@virtbus/domain-xml';
import { formatXml, hostDocument, hostNode, type HostInfo, type XmlNode } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';

const wordSize = (arch: string): number => (arch === 'i686' ? 32 : 64);

export function hostCapabilities(
  info: HostInfo,
  { arches, emulator }: LxcCapabilities,
): { xml: string; document: unknown } {
  const host = hostDocument(info);
  const guests = arches.map((arch) => ({
    osType: 'exe',
    arch,
    wordSize: wordSize(arch),
    emulator,
    domainTypes: ['lxc'],
  }));
  const xml = formatXml([
    'capabilities',
    {},
    [
      hostNode(host, []),
      ...guests.map((guest): XmlNode => {
        const arch: XmlNode[] = [
          ['wordsize', {}, guest.wordSize],
          ['emulator', {}, emulator],
          ['domain', { type: 'lxc' }],
        ];
        return [
          'guest',
          {},
          [
            ['os_type', {}, 'exe'],
            ['arch', { name: guest.arch }, arch],
            ['features', {}, [['privnet', {}]]],
          ],
        ];
      }),
    ],
  ]);
  return { xml, document: { host, guests } };
}

/** Values that a document may have, element by element. */
const offers = {
  filesystem: { type: ['mount', 'bind', 'block', 'file', 'ram'] },
  interface: { type: ['bridge', 'direct', 'ethernet'] },
  console: { type: ['pty'] },
  hostdev: { mode: ['capabilities'], type: ['storage', 'misc', 'net'] },
} as const;

export function domainCapabilities(
  { emulator, arches }: LxcCapabilities,
  ask: {
    virtType?: string | undefined;
    arch?: string | undefined;
    machine?: string | undefined;
    emulator?: string | undefined;
  },
): { xml: string; document: unknown } {
  const wrong = (detail: string): never => {
    throw new VirtError('INVALID_ARG', { detail });
  };
  if ((ask.virtType ?? 'lxc') !== 'lxc') wrong(`this driver runs domains of type 'lxc', not '${ask.virtType}'`);
  if (ask.machine !== undefined) wrong(`a container has no machine, so none called '${ask.machine}'`);
  if (ask.emulator !== undefined && ask.emulator !== emulator) wrong(`this host uses ${emulator}, not ${ask.emulator}`);
  const arch = ask.arch ?? arches[0]!;
  if (!arches.includes(arch)) wrong(`programs for ${arch} do not run here; this host runs ${arches.join(', ')}`);
  const devices = Object.entries(offers).map(([device, choices]): XmlNode => {
    const lists = Object.entries<readonly string[]>(choices).map(([name, values]): XmlNode => {
      return ['enum', { name }, values.map((value): XmlNode => ['value', {}, value])];
    });
    return [device, { supported: 'yes' }, lists];
  });
  const xml = formatXml([
    'domainCapabilities',
    {},
    [
      ['path', {}, emulator],
      ['domain', {}, 'lxc'],
      ['arch', {}, arch],
      ['devices', {}, devices],
    ],
  ]);
  return { xml, document: { path: emulator, domain: 'lxc', arch, devices: offers } };
}
