/** Native configurations over the bus: documents are read and written here, the driver turns models into its own words. */
import { formatDomain, parseDomain } from '@virtbus/domain-xml';
import { VirtError, type nativeToXml, type Request, type Response, type xmlToNative } from '@virtbus/shared';
import { facet, type Driver } from './driver';

export async function toNative(
  driver: Driver,
  { format, xml }: Request<typeof xmlToNative>,
): Promise<Response<typeof xmlToNative>> {
  const native = speaking(driver, format);
  const { domain, warnings } = parseDomain(xml, { mode: 'inactive', unknown: 'warn' });
  return {
    config: await native.toNative(format, domain),
    warnings: warnings.map(({ line, detail }) => `line ${line}: ${detail}`),
  };
}

export function fromNative(
  driver: Driver,
  { format, config }: Request<typeof nativeToXml>,
): Response<typeof nativeToXml> {
  const { domain, warnings } = speaking(driver, format).fromNative(format, config);
  // Passwords came with the text: its owner gets them back.
  return { xml: formatDomain(domain, { view: 'inactive', secrets: true }), warnings };
}

function speaking(driver: Driver, format: string) {
  const native = facet(driver, 'native');
  if (native.formats.includes(format)) return native;
  throw new VirtError('UNSUPPORTED_BY_DRIVER', {
    driver: driver.name,
    operation: `convert format '${format}'; it knows ${native.formats.join(', ')}`,
  });
}
