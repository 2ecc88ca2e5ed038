/**
 * The documents that a domain takes along: the one that the target starts, and the one that it is defined by there. What the
 * user gives in their place is known to be of the same machine before anything is touched.
 */
import { checkSameHardware, formatDomain, parseDomain, type Disk, type Domain } from '@virtbus/domain-xml';
import { isVirtError, VirtError, type MigrationOptions } from '@virtbus/shared';
import type { Actor } from '../actor';

/** The user's document for the target, once it is known to describe the machine that the guest runs on. */
export function given(xml: string, live: string): string {
  checkSameHardware(read(live), read(xml));
  return xml;
}

/**
 * What a persistent domain is defined by on the target; undefined for a transient one. Of a domain that is off nothing else
 * moves: the document that the target starts is that one.
 * @throws for a document of the user's that cannot be that
 */
export function definitionFor(actor: Actor, options: MigrationOptions): string | undefined {
  const { config, record } = actor;
  const { persistentXml, xml, offline } = options;
  if (!config && persistentXml !== undefined) {
    const remedy = 'leave --persistent-xml out, or define the domain first (define)';
    const detail = `domain '${record.name}' is transient, so it has no definition on the target either: ${remedy}`;
    throw new VirtError('OPERATION_INVALID', { detail });
  }
  if (!config) return undefined;
  if (offline && xml !== undefined && persistentXml !== undefined) {
    const detail = 'an offline migration moves one document: give it as --persistent-xml or as --xml, not as both';
    throw new VirtError('INVALID_ARG', { detail });
  }
  const documents = [['--persistent-xml', persistentXml] as const, ['--xml', offline ? xml : undefined] as const];
  const [chosen] = documents.flatMap(([option, text]) => (text === undefined ? [] : { option, text }));
  const domain = chosen ? asGiven(actor, config, chosen) : config;
  return formatDomain(withFormats(domain, actor), { view: 'inactive', secrets: true });
}

/**
 * That a volume is more than raw the host knows that has made it, and no other: a disk that leaves its format to the pool says
 * what its guest has found.
 * @throws CONFIG_UNSUPPORTED for one that no guest has open
 */
function withFormats(domain: Domain, { live }: Actor): Domain {
  const told = (disk: Disk): Disk => {
    const { type, device = 'disk', driver, source, target } = disk;
    if (type !== 'volume' || device !== 'disk' || driver?.type !== undefined) return disk;
    const { pool, volume } = source ?? {};
    const open = live?.devices.disks.find(
      (one) => one.target.dev === target.dev && one.source?.pool === pool && one.source?.volume === volume,
    );
    if (open?.driver?.type !== undefined) return { ...disk, driver: { ...driver, type: open.driver.type } };
    const detail =
      `disk ${target.dev} is volume '${volume}' of pool '${pool}' and does not say of which format: another host would take it ` +
      "for raw; say it in the definition (<driver type='…'/>), and move the domain then";
    throw new VirtError('CONFIG_UNSUPPORTED', { detail });
  };
  return { ...domain, devices: { ...domain.devices, disks: domain.devices.disks.map(told) } };
}

/** The definition may be ahead of the guest: the user's is of the one machine or of the other. */
function asGiven({ uuid, live }: Actor, config: Domain, { option, text }: { option: string; text: string }): Domain {
  try {
    const domain = read(text);
    domain.uuid ??= uuid;
    if (!live || !isSame(live, domain)) checkSameHardware(config, domain);
    return domain;
  } catch (error) {
    throw isVirtError(error) ? of(`the definition for the target (${option})`, error) : error;
  }
}

/** What is said of a document, with which of them it is. */
function of(document: string, { code, details, message }: VirtError): VirtError {
  return VirtError.fromBody({ code, details, message: `${document}: ${message}` });
}

function isSame(live: Domain, domain: Domain): boolean {
  try {
    checkSameHardware(read(formatDomain(live, { view: 'live', secrets: true, migratable: true })), domain);
    return true;
  } catch {
    return false;
  }
}

const read = (text: string): Domain => parseDomain(text, { mode: 'inactive', unknown: 'warn' }).domain;
