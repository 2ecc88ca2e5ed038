/** Places as the `<source>` that libvirt writes of them, and disks out of documents of their own. */
import { formatDomain, givenChain, parseDomain, withChain, type Domain } from '@virtbus/domain-xml';
import type { ChainLayer, Location } from '@virtbus/shared';

/** A domain with this one disk, as a running guest's document shows it. */
export function domainWith(disk: string): Domain {
  const xml = `<domain type='qemu'><name>kit</name><memory>65536</memory><os><type arch='x86_64' machine='pc'>hvm</type></os>
    <devices>${disk}</devices></domain>`;
  return parseDomain(xml, { mode: 'live', unknown: 'warn' }).domain;
}

const layer = (index: number, location: Location): ChainLayer => ({
  index,
  location,
  format: 'raw',
  formatKnown: 'given',
});

/** The element of the second image of a disk, by itself. */
export function sourceXml(location: Location): string {
  const domain = domainWith("<disk type='file'><source file='/top'/><target dev='vda'/></disk>");
  const layers = [layer(0, { type: 'file', path: '/top' }), layer(1, location)];
  domain.devices.disks = domain.devices.disks.map((disk) => withChain(disk, { version: 1, layers }));
  const xml = formatDomain(domain, { view: 'live', secrets: true });
  const inside = xml.slice(xml.indexOf('<backingStore'));
  const [, indent = '', source = ''] = /^( *)(<source(?:[^>]*\/>\n|[\s\S]*?^\1<\/source>\n))/m.exec(inside) ?? [];
  // libvirt shows an SSH user only beside a key.
  const withoutUser = source.replace(/\n *<identity username='[^']*'\/>/, '');
  return withoutUser.replaceAll(`\n${indent}`, '\n');
}

/** The place that a `<source>` in a disk of this type names. */
export function placeInXml(type: string, source: string): Location | undefined {
  const [disk] = domainWith(`<disk type='${type}'>${source}<target dev='vda'/></disk>`).devices.disks;
  return disk && givenChain(disk)?.images[0]?.location;
}
