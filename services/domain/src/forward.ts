/**
 * Passing operations on to the host that does the work: the body unread, the answer as it came.
 */
import {
  isVirtError,
  nativeToXml,
  opensImages,
  startDomain,
  VirtError,
  xmlToNative,
  type Contract,
  type DomainSummary,
  type HostStatus,
} from '@virtbus/shared';
import { decode, encode, Encoded, passOn, type Call, type Endpoint } from '@virtbus/shared/bus';
import { ask } from './ask';
import { locate, movedTo, type Fleet, type Home } from './fleet';
import type { At } from './hosts';
import { withImages, type Opening } from './images/prepare';

/** An operation on one domain, done by the driver at its home. */
export function toHome(fleet: Fleet, c: Contract): Endpoint {
  return passOn(c, async (call) => {
    const target = call.target!;
    const home = await locate(fleet, target);
    let body: Uint8Array;
    try {
      body = await atHome(fleet, c, call, home);
    } catch (error) {
      const elsewhere = await movedTo(fleet, home, error);
      if (elsewhere) body = await atHome(fleet, c, call, elsewhere);
      else if (home.left && isVirtError(error)) throw new VirtError('DOMAIN_NOT_FOUND', { domain: target });
      else throw error;
    }
    if (c.kind === 'cmd') await fleet.knowledge.answered((decode(body) as { domain?: unknown }).domain);
    return new Encoded(body);
  });
}

/** A query about a host, done by one of its drivers. */
export function toHost(fleet: Fleet, c: Contract): Endpoint {
  return passOn(c, async (call) => {
    const drivers = fleet.hosts.driversOf(call.target!);
    const query = decode(call.body) as { driver?: unknown; format?: unknown };
    if (c === xmlToNative || c === nativeToXml) refuseUnknownFormat(drivers, query);
    return new Encoded(await ask(fleet, c, call, chooseDriver(drivers, query)));
  });
}

/** Any one driver would name its own formats alone. */
export function refuseUnknownFormat(
  drivers: readonly (At & Pick<HostStatus, 'nativeFormats'>)[],
  { driver, format }: { driver?: unknown; format?: unknown },
): void {
  const formats = drivers.flatMap(({ nativeFormats }) => nativeFormats);
  // What is no format at all is for the contract to refuse.
  if (driver !== undefined || typeof format !== 'string' || formats.length === 0 || formats.includes(format)) return;
  throw new VirtError('UNSUPPORTED_BY_DRIVER', {
    driver: `host '${drivers[0]!.host}'`,
    operation: `convert format '${format}'; it knows ${formats.join(', ')}`,
  });
}

/**
 * The driver that the query names; else the first that knows the native format or runs the domain type it speaks of; else
 * the one that can do most of those that are there.
 * @param drivers of one host, never none, those online first
 */
export function chooseDriver<
  D extends At & Pick<HostStatus, 'nativeFormats' | 'virtTypes' | 'facets'> & { online: boolean },
>(drivers: readonly D[], { driver, format, virtType }: { driver?: unknown; format?: unknown; virtType?: unknown }): D {
  if (driver === undefined) {
    return (
      drivers.find(({ nativeFormats }) => nativeFormats.includes(format as string)) ??
      drivers.find(({ virtTypes }) => virtTypes.includes(virtType as string)) ??
      drivers.reduce((most, other) =>
        other.online === most.online && other.facets.length > most.facets.length ? other : most,
      )
    );
  }
  const named = drivers.find((status) => status.driver === driver);
  if (named) return named;
  const has = drivers.map((status) => status.driver).join(', ');
  const detail = `host '${drivers[0]!.host}' has no driver '${driver as string}' (it has ${has})`;
  throw new VirtError('INVALID_ARG', { detail });
}

/** What opens images goes with what storage has prepared for it; the rest as it came. */
async function atHome(fleet: Fleet, c: Contract, call: Call, home: Home): Promise<Uint8Array> {
  if (home.left || !opensImages(c)) return ask(fleet, c, call, home, home);
  const request = decode(call.body) as Record<string, unknown>;
  const answer = await withImages(fleet, home, call, openingOf(c, request, home), async (prepared) => {
    const body = prepared ? encode({ ...request, prepared }, call.format) : call.body;
    const answered = await ask(fleet, c, { ...call, body }, home, home);
    return { body: answered, domain: (decode(answered) as { domain: DomainSummary }).domain };
  });
  return answer.body;
}

function openingOf(c: Contract, request: Record<string, unknown>, home: Home): Opening {
  const { forceBoot, xml, affect = 'current' } = request;
  if (c.plansImages) return { disks: () => [], command: { operation: c.operation, request } };
  if (c === startDomain) {
    const nothing = home.images === false && home.managedSave === false;
    const disks: Opening['disks'] = ({ active, definition }) => (active ? [] : definition);
    return { nothing, afresh: forceBoot === true, disks, mayMiss: (told) => told };
  }
  // What is only defined is opened by no guest; nonsense is the driver's to refuse.
  if (typeof xml !== 'string' || affect === 'config' || !xml.trimStart().startsWith('<disk')) return { disks: [] };
  return { disks: ({ active }) => (active ? [xml] : []) };
}
