/** What a simulated host says of itself: the machine it stands on, and guests that are made of nothing. */
import { formatXml, hostDocument, hostNode, type HostInfo } from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';

type Document = { xml: string; document: unknown };

export function hostCapabilities(info: HostInfo): Document {
  const host = hostDocument(info);
  const guest = { osType: 'hvm', arch: info.arch, domainTypes: ['test'] };
  const xml = formatXml([
    'capabilities',
    {},
    [
      hostNode(host, []),
      [
        'guest',
        {},
        [
          ['os_type', {}, guest.osType],
          ['arch', { name: guest.arch }, [['domain', { type: 'test' }]]],
        ],
      ],
    ],
  ]);
  return { xml, document: { host, guests: [guest] } };
}

export function domainCapabilities(
  info: HostInfo,
  ask: { virtType?: string | undefined; arch?: string | undefined },
): Document {
  if ((ask.virtType ?? 'test') !== 'test') {
    throw new VirtError('INVALID_ARG', { detail: `this driver runs domains of type 'test', not '${ask.virtType}'` });
  }
  const document = { domain: 'test', arch: ask.arch ?? info.arch };
  const xml = formatXml([
    'domainCapabilities',
    {},
    [
      ['domain', {}, document.domain],
      ['arch', {}, document.arch],
    ],
  ]);
  return { xml, document };
}
