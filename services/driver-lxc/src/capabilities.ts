/** What this host and its containers can be asked for: libvirt's `<capabilities>` and `<domainCapabilities>`, and as JSON. */
import { lxcDomainCapabilities, type LxcCapabilities } from '@virtbus/domain-xml';
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

export function domainCapabilities(
  capabilities: LxcCapabilities,
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
  const { emulator, arches } = capabilities;
  if ((ask.virtType ?? 'lxc') !== 'lxc') wrong(`this driver runs domains of type 'lxc', not '${ask.virtType}'`);
  if (ask.machine !== undefined) wrong(`a container has no machine, so none called '${ask.machine}'`);
  if (ask.emulator !== undefined && ask.emulator !== emulator) wrong(`this host uses ${emulator}, not ${ask.emulator}`);
  const document =
    lxcDomainCapabilities(capabilities, ask.arch) ??
    wrong(`programs for ${ask.arch} do not run here; this host runs ${arches.join(', ')}`);
  const supported = (is: boolean): Record<string, string> => ({ supported: is ? 'yes' : 'no' });
  const flags = (all: Readonly<Record<string, boolean>>): XmlNode[] =>
    Object.entries(all).map(([name, is]) => [name, supported(is)]);
  const values = (list: readonly string[]): XmlNode[] => list.map((value) => ['value', {}, value]);
  const devices = Object.entries(document.devices).map(([device, { enums }]): XmlNode => {
    const lists = Object.entries(enums).map(([name, list]): XmlNode => ['enum', { name }, values(list)]);
    return [device, supported(true), lists];
  });
  const xml = formatXml([
    'domainCapabilities',
    {},
    [
      ['path', {}, document.path],
      ['domain', {}, document.domain],
      ['arch', {}, document.arch],
      ['devices', {}, devices],
      ['features', {}, flags(document.features)],
      ['limits', {}, flags(document.limits)],
      ['seclabel', supported(true), [['enum', { name: 'model' }, values(document.seclabels)]]],
    ],
  ]);
  return { xml, document };
}
