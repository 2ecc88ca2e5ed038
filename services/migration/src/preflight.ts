/**
 * Everything that can be known before a migration begins: of the request, of the fleet, of both hosts. All reasons at once;
 * nothing is changed.
 */
import {
  getDomain,
  isActive,
  isVirtError,
  listHosts,
  type migrateDomain,
  migrationCheck,
  VirtError,
  type DomainSummary,
  type ErrorCode,
  type HostStatus,
  type MigrationEnd,
  type MigrationOptions,
  type MigrationReason,
} from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import type { z } from 'zod';

export interface Wish {
  to: string;
  driver?: string | undefined;
  options: MigrationOptions;
  /** What is done when the transfer takes longer. */
  timeout?: z.output<typeof migrateDomain.request>['timeout'];
}

export interface Preflight {
  domain: DomainSummary;
  source: MigrationEnd;
  target: MigrationEnd;
  reasons: MigrationReason[];
}

type Host = HostStatus & { online: boolean; cordoned: boolean };

/** Throws `DOMAIN_NOT_FOUND`; all other reasons are listed. */
export async function preflight(bus: Bus, target: string, { to, driver, options, timeout }: Wish): Promise<Preflight> {
  const [{ domain }, { hosts }] = await Promise.all([call(bus, getDomain, {}, { target }), call(bus, listHosts, {})]);
  const source = { host: domain.host, driver: domain.driver };
  const end = { host: to, driver: driver ?? domain.driver };
  const reasons = [
    ...ofRequest(domain, options),
    ...ofTimeout(options, timeout),
    ...(await ofName(bus, domain, options)),
    ...ofHosts(domain, end, hosts),
  ];
  // A host that cannot be asked has been named by now.
  const fits = isActive(domain.state) !== options.offline;
  if (fits && canBeAsked(domain, end, hosts)) reasons.push(...(await ofBoth(bus, domain, source, end, options)));
  return { domain, source, target: end, reasons };
}

/** A reason as somebody reads it who has not said where to. */
export function inWords({ where, code, message }: MigrationReason, host: string): string {
  const remedy = code === 'UNSUPPORTED_BY_DRIVER' ? '; shut it down here and define it on another host' : '';
  return `${where === 'source' ? '' : `to ${host}: `}${message}${remedy}`;
}

/** One error that names all reasons, with the code of the first. */
export function refusal(reasons: readonly MigrationReason[]): VirtError {
  const message = reasons
    .map(({ where, message: words }) => (where === 'fleet' ? words : `${where}: ${words}`))
    .join('; ');
  return VirtError.fromBody({ code: reasons[0]!.code, message, details: { reasons } });
}

const fleet = (code: ErrorCode, error: VirtError): MigrationReason => ({
  where: 'fleet',
  code,
  message: error.message,
});
const because = (code: 'OPERATION_INVALID' | 'ARGUMENT_UNSUPPORTED' | 'NO_SUITABLE_HOST', detail: string) =>
  fleet(code, new VirtError(code, { detail }));

/** libvirt's rules for flags that exclude or need each other. */
function ofRequest(domain: DomainSummary, options: MigrationOptions): MigrationReason[] {
  const { live, offline, paused, postcopy, storage, disks, synchronousWrites, compression, parallel } = options;
  const active = isActive(domain.state);
  const wrong: [boolean, string][] = [
    [postcopy && !live, 'post-copy migration is not supported with non-live migration'],
    [postcopy && paused, 'post-copy migration is not supported with a guest that stays paused'],
    [offline && storage !== 'shared', 'offline migration cannot handle non-shared storage'],
    [disks !== undefined && storage === 'shared', 'disks can be chosen only when storage is copied'],
    [synchronousWrites && storage === 'shared', 'synchronous writes need storage that is copied'],
    [
      compression !== undefined && compression.method !== 'xbzrle' && !parallel,
      'this compression needs parallel connections',
    ],
  ];
  return [
    ...wrong.flatMap(([is, detail]) => (is ? [because('ARGUMENT_UNSUPPORTED', detail)] : [])),
    ...(active && offline
      ? [because('OPERATION_INVALID', 'domain is running: an offline migration is for one that is not')]
      : []),
    ...(!active && !offline
      ? [because('OPERATION_INVALID', 'domain is not running; --offline moves its definition')]
      : []),
    ...(offline && domain.managedSave
      ? [
          because(
            'OPERATION_INVALID',
            'domain has a managed save image, which stays: start it first, or remove the image (managedsave-remove)',
          ),
        ]
      : []),
    ...(offline && !domain.persistent
      ? [because('OPERATION_INVALID', 'a transient domain has no definition to move')]
      : []),
  ];
}

/** It would be refused when it is due, and the guest be sent for ever. */
function ofTimeout({ postcopy }: MigrationOptions, timeout: Wish['timeout']): MigrationReason[] {
  if (timeout?.action !== 'postcopy' || postcopy) return [];
  const remedy = 'give --postcopy as well, or --timeout-suspend or --timeout-abort instead';
  return [because('OPERATION_INVALID', `--timeout-postcopy needs a migration that allows post-copy; ${remedy}`)];
}

async function ofName(bus: Bus, domain: DomainSummary, { name }: MigrationOptions): Promise<MigrationReason[]> {
  if (name === undefined || name === domain.name) return [];
  try {
    const { domain: other } = await call(bus, getDomain, {}, { target: name });
    if (other.uuid === domain.uuid) return [];
    const detail = `domain '${name}' already exists with uuid ${other.uuid}`;
    return [fleet('DOMAIN_EXISTS', new VirtError('DOMAIN_EXISTS', { detail }))];
  } catch (error) {
    if (isVirtError(error, 'DOMAIN_NOT_FOUND')) return [];
    throw error;
  }
}

function ofHosts(domain: DomainSummary, to: MigrationEnd, hosts: readonly Host[]): MigrationReason[] {
  const at = (end: MigrationEnd): Host | undefined =>
    hosts.find(({ host, driver }) => host === end.host && driver === end.driver);
  const [source, target] = [at(domain), at(to)];
  if (!hosts.some(({ host }) => host === to.host)) {
    return [fleet('HOST_NOT_FOUND', new VirtError('HOST_NOT_FOUND', { host: to.host }))];
  }
  if (to.host === domain.host) {
    return [because('OPERATION_INVALID', `domain '${domain.name}' lives on host '${to.host}' already`)];
  }
  if (!target) return [because('NO_SUITABLE_HOST', `host '${to.host}' has no driver '${to.driver}'`)];
  const reasons = [source, target].flatMap((host) => (host ? ofHost(host) : []));
  if (source?.hostUuid === target.hostUuid) {
    reasons.push(because('OPERATION_INVALID', `Attempt to migrate guest to the same host ${target.hostUuid}`));
  }
  if (target.cordoned) {
    reasons.push(
      because(
        'NO_SUITABLE_HOST',
        `host '${to.host}' takes no domains until it is undrained (virtbus host undrain ${to.host})`,
      ),
    );
  }
  if (!target.virtTypes.includes(domain.virtType)) {
    reasons.push(because('NO_SUITABLE_HOST', `host '${to.host}' runs no domains of type '${domain.virtType}'`));
  }
  if (!target.arches.includes(domain.arch)) {
    reasons.push(because('NO_SUITABLE_HOST', `host '${to.host}' has no machines of architecture '${domain.arch}'`));
  }
  if (isActive(domain.state) && target.freeMemoryKiB < domain.memoryKiB) {
    const detail = `host '${to.host}' has ${target.freeMemoryKiB} KiB of memory free; the guest has ${domain.memoryKiB} KiB`;
    reasons.push(because('NO_SUITABLE_HOST', detail));
  }
  return reasons;
}

function canBeAsked(domain: DomainSummary, to: MigrationEnd, hosts: readonly Host[]): boolean {
  const fit = (end: MigrationEnd): boolean =>
    hosts.some((one) => one.host === end.host && one.driver === end.driver && ofHost(one).length === 0);
  return to.host !== domain.host && fit(domain) && fit(to);
}

function ofHost({ host, driver, online, facets }: Host): MigrationReason[] {
  if (!online) {
    return [fleet('HOST_OFFLINE', new VirtError('HOST_OFFLINE', { host, service: `driver-${driver}` }))];
  }
  if (facets.includes('migration')) return [];
  const error = new VirtError('UNSUPPORTED_BY_DRIVER', { driver: `${driver} on host '${host}'`, operation: 'migrate' });
  return [fleet('UNSUPPORTED_BY_DRIVER', error)];
}

async function ofBoth(
  bus: Bus,
  { uuid }: DomainSummary,
  source: MigrationEnd,
  target: MigrationEnd,
  options: MigrationOptions,
): Promise<MigrationReason[]> {
  const context = { domain: uuid };
  try {
    const left = await callDriver(bus, source, migrationCheck, { role: 'source', peer: target, options }, context);
    const { document, copies, certificates, cpu, nvram } = left;
    const ask = { role: 'target', peer: source, options, document, copies, certificates, cpu, nvram } as const;
    const right = await callDriver(bus, target, migrationCheck, ask, context);
    return [...left.reasons, ...right.reasons];
  } catch (error) {
    const { code, message } = VirtError.from(error);
    return [{ where: 'fleet', code, message }];
  }
}
