/**
 * The images of a domain that moves: leased on the target's host beside the source's, so that they are at no time free for
 * another domain. In the fleet's book the source has them until the domain lives on the target.
 */
import { formatDevice, isEmptyDrive, parseDomain } from '@virtbus/domain-xml';
import {
  storageLeases,
  type handoverCommit,
  type handoverImages,
  type handoverRelease,
  type Prepared,
} from '@virtbus/shared';
import { callDriver, type Call } from '@virtbus/shared/bus';
import type { z } from 'zod';
import { attempts } from '../attempts';
import type { Fleet } from '../fleet';
import { prepare, release } from '../images/prepare';
import type { Handover } from './handover';

/** Until a host that did not let go of images is asked again, milliseconds: at first, and at most. */
const pauses = { first: 1_000, longest: 60_000 } as const;
/** For so long; a host that is gone takes its book along, milliseconds. */
const askedForMs = 86_400_000;

/** The domain has no revision on a host where it has not lived yet. */
const nothingYet = { revision: 0, uses: [], needs: [] };

export class HandoverImages {
  constructor(
    private readonly fleet: Fleet,
    private readonly handover: Handover,
  ) {}

  async prepare(
    { id, domain, to, name, epoch, xml, copies: wanted = [] }: z.output<typeof handoverImages.request>,
    call: Call,
  ): Promise<{ prepared?: Prepared }> {
    const disks = disksOf(xml);
    if (disks.length === 0) return {};
    await this.handover.opens({ id, domain });
    const holder = { domain, name, ...to, epoch, claim: id };
    const copies = wanted.flatMap(({ target, capacity }) => {
      const disk = disks.find((one) => one.target === target)?.xml;
      return disk === undefined ? [] : [{ disk, capacity }];
    });
    const asked = disks.map((one) => one.xml);
    return { prepared: await prepare(this.fleet, holder, { ...nothingYet, copies }, asked, call, { joins: true }) };
  }

  /** The domain lives on the target: the fleet knows that it has its images there. */
  async handOver(ask: z.output<typeof handoverCommit.request>): Promise<void> {
    const { domain, to } = ask;
    // Whoever has none leaves a host without a storage service out of it.
    const hasNone = this.fleet.projection.get(domain)?.images !== true && !(await this.handover.opened(ask));
    if (hasNone || !(await this.handover.brought(ask))) return;
    const at = { host: to.host, driver: 'storage' };
    const { holders } = await callDriver(this.fleet.bus, at, storageLeases, { domain });
    for (const { leases, revision: _revision, taken: _taken, ...holder } of holders) {
      for (const { lease, holder: other } of await this.fleet.leases.take(holder, leases)) {
        this.fleet.log.error({ path: lease.path, domains: [holder.name, other.name] }, 'two domains hold one image');
      }
    }
    // Its guest may have ended between that look at the host's book and this, and was let go before it was taken here.
    const taken = holders.flatMap(({ leases }) => leases.map(({ identity }) => identity));
    await this.fleet.leases.drop({ domain, host: to.host }, taken);
  }

  /** It stays: what was leased on the target goes. */
  async letGo(ask: z.output<typeof handoverRelease.request>): Promise<void> {
    const moving = await this.handover.opened(ask);
    if (!moving) return;
    const leased = { domain: ask.domain, host: moving.to.host, claim: ask.id };
    // The guest stays, whether the target's storage service is there or has just died: that one is told when it is back.
    if (!(await release(this.fleet, leased, true))) void this.letGoLater(leased);
  }

  private async letGoLater(leased: Parameters<typeof release>[1]): Promise<void> {
    const { nc } = this.fleet.bus;
    const until = Date.now() + askedForMs;
    for await (const attempt of attempts(pauses)) {
      if (nc.isClosed() || Date.now() > until) return;
      // The first was `letGo`'s own.
      if (attempt > 1 && (await release(this.fleet, leased, true))) return;
    }
  }
}

function disksOf(document: string): { target: string | undefined; xml: string }[] {
  const { devices } = parseDomain(document, { mode: 'inactive', unknown: 'warn' }).domain;
  const disks = devices.disks.filter((disk) => !isEmptyDrive(disk));
  return disks.map((value) => ({ target: value.target.dev, xml: formatDevice({ list: 'disks', value }, 'inactive') }));
}
