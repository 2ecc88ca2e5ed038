/**
 * Before a guest opens images: their chains found and written down, files made, the leases taken, all in the host's own
 * books. The same command prepared again takes nothing twice; a crash between the books leaves leases and empty files that
 * nobody uses, which the domain's driver settles (`settlement.ts`).
 */
import { identityKey } from '@virtbus/disk-image';
import {
  diskOfNeed,
  storageLeases,
  storagePrepare,
  storageRelease,
  storageSettle,
  VirtError,
  type ChainDocument,
  type DriverContract,
  type PreparedDisk,
  type PreparedImage,
} from '@virtbus/shared';
import { driverEndpoint, type Call, type Endpoint } from '@virtbus/shared/bus';
import type { z } from 'zod';
import type { StorageHost, VolumeDirectory } from '../host';
import type { LeaseBook } from '../leases/book';
import { leasesOf } from '../leases/wanted';
import type { ChainBook } from './book';
import { makeCopies } from './copies';
import type { Leftovers } from './leftovers';
import type { MadeFiles } from './made-files';
import type { Needs } from './needs';
import type { Resolver } from './resolve';
import type { Settlement } from './settlement';

type Request<C extends DriverContract> = z.output<C['request']>;
type Answer<C extends DriverContract> = z.output<C['response']>;

/** What preparing works with. */
export interface Books {
  resolver: Resolver;
  chains: ChainBook;
  leases: LeaseBook;
  made: MadeFiles;
  volumes: Pick<VolumeDirectory, 'made'>;
  needs: Needs;
  leftovers: Leftovers;
  settlement: Settlement;
}

export class Preparation {
  constructor(
    private readonly host: StorageHost,
    private readonly books: Books,
  ) {}

  get endpoints(): Endpoint[] {
    const at = { host: this.host.name, driver: 'storage' };
    const { chains, leases, leftovers, settlement } = this.books;
    return [
      driverEndpoint(at, storagePrepare, (request, call) => this.prepare(domainOf(call), request, call.signal)),
      driverEndpoint(at, storageRelease, (request, call) => this.release(domainOf(call), request)),
      driverEndpoint(at, storageSettle, (request, call) => settlement.settle(domainOf(call), request)),
      driverEndpoint(at, storageLeases, async ({ domain }) => ({
        holders: leases.all(domain),
        preparing: [...leftovers.preparing],
        ...(domain === undefined && { standing: chains.all.map((known) => known.domain) }),
      })),
    ];
  }

  private async prepare(
    domain: string,
    request: Request<typeof storagePrepare>,
    signal: AbortSignal,
  ): Promise<Answer<typeof storagePrepare>> {
    const { claim, needs, copies } = request;
    const makes = needs.length > 0 || copies.length > 0;
    using _underWay = this.books.leftovers.prepares(claim);
    try {
      const answer = await this.take(domain, request, signal);
      if (makes && answer.conflicts.length > 0) await this.books.leftovers.undo(domain, [claim]);
      return answer;
    } catch (error) {
      if (makes) await this.books.leftovers.undo(domain, [claim]);
      throw error;
    }
  }

  private async take(
    domain: string,
    { disks, mayMiss, claim, uses, needs, copies, ...of }: Request<typeof storagePrepare>,
    signal: AbortSignal,
  ): Promise<Answer<typeof storagePrepare>> {
    const { resolver, chains, leases: book, made: files, volumes } = this.books;
    await makeCopies(files, { domain, claim }, copies, volumes);
    const looked = await Promise.all(disks.map((xml) => resolver.disk(xml, mayMiss)));
    const resolved = looked.filter((disk) => !disk.missing);
    const needed = await this.books.needs.resolve({ domain, claim }, needs);
    const there = new Set(needed.map(({ need }) => need));
    const missing = [
      ...looked.flatMap((disk) => (disk.missing ? disk.target : [])),
      ...needs.flatMap((need) => (there.has(need) ? [] : need.name)),
    ];
    const leases = leasesOf([...resolved, ...needed]);
    // What the system gave a new file before was another's, who let go of it as it was removed.
    for (const { fresh, chain } of needed) if (fresh) book.forget(identityOf(chain));
    const { name, epoch, revision } = of;
    // What its running disks stand on by now is looked at when their operations are told to have ended.
    const unread = new Set(uses.flatMap(({ target }) => (target === undefined ? [] : diskOfNeed(target))));
    const released = book.settle({ ...of, domain, uses }, { unread });
    const before = new Set(book.all(domain).flatMap((claimed) => claimed.leases.map(({ identity }) => identity)));
    // Whoever asked has gone: nobody would let go of it.
    signal.throwIfAborted();
    const conflicts = book.take({ ...of, domain, id: claim, leases });
    const prepared = resolved.map(({ target, chain }): PreparedDisk => ({ target, ...(chain ? { chain } : {}) }));
    const images = needed.map(({ need, chain }): PreparedImage => ({ name: need.name, target: need.target, chain }));
    if (conflicts.length > 0) return { disks: prepared, images, missing, leases: [], conflicts, released };
    if (prepared.length > 0) chains.prepared({ domain, name, epoch, revision }, prepared);
    const made = new Set(needed.flatMap((one) => (one.made ? [one.target] : [])));
    const told = leases.map((lease) => ({
      ...lease,
      ...(made.has(lease.target) && { made: true }),
      ...(before.has(lease.identity) && { held: true }),
    }));
    return { disks: prepared, images, missing, leases: told, conflicts, released };
  }

  private async release(
    domain: string,
    { claims, undone }: Request<typeof storageRelease>,
  ): Promise<Answer<typeof storageRelease>> {
    const { leases, chains } = this.books;
    const released = leases.release(domain, claims);
    // Whose guest did not come, and who holds nothing else, stands on nothing.
    const known = chains.of(domain);
    if (undone && known && leases.all(domain).length === 0) chains.settle({ ...known, live: [] });
    if (undone) await this.books.leftovers.undo(domain, claims);
    else await this.books.leftovers.sweep(domain);
    return { released };
  }
}

/** Of the active image. */
const identityOf = ({ layers: [top] }: ChainDocument): string => (top?.identity ? identityKey(top.identity) : '');

function domainOf(call: Call): string {
  if (!call.domain) throw new VirtError('INVALID_ARG', { detail: 'the call names no domain' });
  return call.domain;
}
