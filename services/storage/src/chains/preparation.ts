/**
 * Before a guest opens its disks: their chains found and written down, the leases taken, all in the host's own books. The
 * same command prepared again takes nothing twice; a crash between the two books leaves leases that nobody uses, which the
 * domain's driver settles.
 */
import {
  storageLeases,
  storagePrepare,
  storageRelease,
  storageSettle,
  VirtError,
  type DriverContract,
  type PreparedDisk,
} from '@virtbus/shared';
import { driverEndpoint, type Call, type Endpoint } from '@virtbus/shared/bus';
import { parseDevice } from '@virtbus/domain-xml';
import type { z } from 'zod';
import type { StorageHost } from '../host';
import type { LeaseBook } from '../leases/book';
import { leasesOf } from '../leases/wanted';
import type { ChainBook } from './book';
import type { Resolver } from './resolve';

type Request<C extends DriverContract> = z.output<C['request']>;
type Answer<C extends DriverContract> = z.output<C['response']>;

export class Preparation {
  constructor(
    private readonly host: StorageHost,
    private readonly resolver: Resolver,
    private readonly chains: ChainBook,
    private readonly leases: LeaseBook,
  ) {}

  get endpoints(): Endpoint[] {
    const at = { host: this.host.name, driver: 'storage' };
    return [
      driverEndpoint(at, storagePrepare, (request, call) => this.prepare(domainOf(call), request)),
      driverEndpoint(at, storageRelease, async ({ claims }, call) => ({
        released: this.leases.release(domainOf(call), claims),
      })),
      driverEndpoint(at, storageSettle, async (request, call) => this.settle(domainOf(call), request)),
      driverEndpoint(at, storageLeases, async ({ domain }) => ({ holders: this.leases.all(domain) })),
    ];
  }

  private async prepare(
    domain: string,
    { disks, claim, uses, ...of }: Request<typeof storagePrepare>,
  ): Promise<Answer<typeof storagePrepare>> {
    const resolved = await Promise.all(disks.map((xml) => this.resolver.disk(xml)));
    const leases = leasesOf(resolved);
    const { name, epoch, revision } = of;
    const released = this.leases.settle(domain, { epoch, revision, uses });
    const conflicts = this.leases.take({ ...of, domain, id: claim, leases });
    const prepared = resolved.map(({ target, chain }): PreparedDisk => ({ target, ...(chain ? { chain } : {}) }));
    if (conflicts.length > 0) return { disks: prepared, images: [], leases: [], conflicts, released };
    this.chains.prepared({ domain, name, epoch, revision }, prepared);
    return { disks: prepared, images: [], leases, conflicts, released };
  }

  private settle(
    domain: string,
    { name, epoch, revision, definition, live, uses }: Request<typeof storageSettle>,
  ): Answer<typeof storageSettle> {
    const targets = new Set(live.map(targetOf));
    this.chains.settle({ domain, name, epoch, revision, definition }, targets);
    return { released: this.leases.settle(domain, { epoch, revision, uses }) };
  }
}

function targetOf(xml: string): string {
  const device = parseDevice(xml);
  return device.list === 'disks' ? (device.value.target.dev ?? '') : '';
}

function domainOf(call: Call): string {
  if (!call.domain) throw new VirtError('INVALID_ARG', { detail: 'the call names no domain' });
  return call.domain;
}
