/** The driver's side of the bus: every operation as an endpoint of one micro service. */
import {
  baselineCpu,
  compareCpu,
  contracts,
  domainCapabilities,
  driverAnswer,
  driverCreate,
  driverDefine,
  driverGet,
  driverInspectSave,
  driverInventory,
  driverLeftovers,
  driverRename,
  driverRestore,
  driverStats,
  driverStorage,
  explainDomain,
  hostCapabilities,
  nativeToXml,
  opensImages,
  VirtError,
  WithPrepared,
  xmlToNative,
  type HostStatus,
} from '@virtbus/shared';
import { parseDomain } from '@virtbus/domain-xml';
import { decode, driverEndpoint, parseRequest, type Call, type Endpoint } from '@virtbus/shared/bus';
import type { Actor } from './actor';
import { facet } from './driver';
import type { DriverHost } from './host';
import { tellStorage } from './images';
import { baseline, compare } from './cpu';
import { leftoversOf } from './leftovers';
import { fromNative, toNative } from './native';
import { ops } from './ops';
import { perform } from './ops/op';
import { needsOf } from './plan';
import { statsOf } from './ops/stats';
import * as settle from './settle';

export function endpoints(host: DriverHost, status: () => HostStatus): Endpoint[] {
  const at = { host: host.name, driver: host.driver };
  const served = new Set(ops.map(({ contract }) => contract));
  const missing = contracts.filter((contract) => contract.servedBy === 'home-host' && !served.has(contract));
  if (missing.length > 0) throw new TypeError(`no driver operation for ${missing.map(({ name }) => name).join(', ')}`);
  const unplanned = ops.filter((operation) => operation.contract.plansImages && !operation.plan);
  if (unplanned.length > 0) throw new TypeError(`no plan for ${unplanned.map((o) => o.contract.name).join(', ')}`);

  const domainOps = ops.map((operation) =>
    driverEndpoint(at, operation.contract, async (request, call) => {
      const uuid = domainOf(call);
      const actor = host.find(uuid);
      if (!actor) return host.answerOf(uuid, call.id);
      settle.checkEpoch(actor, call.epoch);
      const { prepared } = opensImages(operation.contract)
        ? parseRequest('prepared', WithPrepared, decode(call.body))
        : {};
      return perform(operation, request, { host, actor, call, prepared });
    }),
  );
  return [
    ...domainOps,
    driverEndpoint(at, driverInventory, async () => ({ status: status(), ...host.contents() })),
    driverEndpoint(at, driverLeftovers, async () => leftoversOf(host)),
    driverEndpoint(at, driverDefine, (request, call) => settle.define(host, request, call)),
    driverEndpoint(at, driverCreate, (request, call) => settle.create(host, request, call)),
    driverEndpoint(at, driverRestore, (request, call) => settle.restore(host, request, call)),
    driverEndpoint(at, driverRename, (request, call) => settle.rename(host, host.get(domainOf(call)), request, call)),
    driverEndpoint(at, driverStorage, async (request, call) => {
      const told = await tellStorage(host, domainOf(call), request);
      // Planned on what is now: a domain that has changed since it was told of refuses what is prepared.
      return { ...told, needs: await needsOf(host, request.command, call) };
    }),
    driverEndpoint(at, driverAnswer, async ({ command }, call) => host.becameOf(domainOf(call), command)),
    driverEndpoint(at, driverGet, async (_request, call) => ({ domain: host.get(domainOf(call)).summary() })),
    driverEndpoint(at, driverInspectSave, async ({ path }) => {
      const { xml } = await facet(host.implementation, 'save').inspect(path);
      const { domain } = parseDomain(xml, { mode: 'inactive', unknown: 'warn' });
      return { uuid: domain.uuid!, name: domain.name, xml };
    }),
    driverEndpoint(at, driverStats, async ({ groups, domains }, call) => {
      const wanted: Actor[] = domains
        ? domains.flatMap((uuid) => host.find(uuid) ?? [])
        : host.all().filter((actor) => actor.active);
      return { stats: await Promise.all(wanted.map((actor) => statsOf(host, actor, groups, call.signal))) };
    }),
    driverEndpoint(at, hostCapabilities, async ({ format }) => shown(host.implementation.hostCapabilities(), format)),
    driverEndpoint(at, domainCapabilities, async ({ format, ...ask }) =>
      shown(host.implementation.domainCapabilities(ask), format),
    ),
    driverEndpoint(at, nativeToXml, async (ask) => fromNative(host.implementation, ask)),
    driverEndpoint(at, xmlToNative, (ask) => toNative(host.implementation, ask)),
    driverEndpoint(at, explainDomain, async ({ xml }) => facet(host.implementation, 'explain').explain(xml)),
    driverEndpoint(at, compareCpu, async (ask) => compare(host.implementation, ask)),
    driverEndpoint(at, baselineCpu, async (ask) => baseline(host.implementation, ask)),
  ];
}

function shown(answer: { xml: string; document: unknown }, format: 'xml' | 'json') {
  return format === 'xml' ? { xml: answer.xml } : { document: answer.document };
}

function domainOf(call: Call): string {
  if (!call.domain) throw new VirtError('INVALID_ARG', { detail: 'the call names no domain' });
  return call.domain;
}
