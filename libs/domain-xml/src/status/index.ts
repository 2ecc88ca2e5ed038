/** What libvirt left on a host about its running guests, read and written: the interchange form of such notes. */
import { formatElement } from '../schema/format';
import { parseElement, type Warning } from '../schema/parse';
import { readXml } from '../xml/reader';
import { domainStatus, type DomainStatus } from './elements';
import { upgradeStatus, type StatusPlaces } from './upgrade';

export type { DomainStatus, StatusPlaces };

/**
 * Reads a `<domstatus>` document of any version; what older managers did not write down is worked out. Throws VirtError as
 * `parseDomain` does.
 */
export function parseStatus(xml: string, places: StatusPlaces): { status: DomainStatus; warnings: Warning[] } {
  const { model, warnings } = parseElement(domainStatus, readXml(xml), { mode: 'status', unknown: 'warn' });
  upgradeStatus(model, places);
  return { status: model, warnings };
}

/** Writes the document as libvirt does, with its secrets. */
export function formatStatus(status: DomainStatus): string {
  return formatElement(domainStatus, status, { view: 'status', secrets: true, migratable: false });
}
