/**
 * What a domain's driver says that it uses, brought into the books: images of running disks are read again, so that chain
 * document and leases are those of the guest as it is now, and what differs from the document is told. To be told twice
 * changes nothing, and what comes too late neither.
 */
import { isDeepStrictEqual } from 'node:util';
import { describeLocation } from '@virtbus/disk-image';
import { diskOfNeed, isNeed, type PreparedDisk, type storageSettle } from '@virtbus/shared';
import type { z } from 'zod';
import type { StorageHost, VolumeDirectory } from '../host';
import type { LeaseBook } from '../leases/book';
import { leasesOfOne } from '../leases/wanted';
import type { ChainBook, DomainChains } from './book';
import type { Leftovers } from './leftovers';
import { reread, type RereadDisk } from './reread';
import type { Resolver } from './resolve';

type Said = z.output<typeof storageSettle.request>;
type Settled = z.output<typeof storageSettle.response>;
type Mismatches = NonNullable<DomainChains['mismatches']>;

export class Settlement {
  constructor(
    private readonly host: StorageHost,
    private readonly resolver: Resolver,
    private readonly books: { chains: ChainBook; leases: LeaseBook },
    private readonly leftovers: Leftovers,
    private readonly volumes: Pick<VolumeDirectory, 'changed'>,
  ) {}

  async settle(domain: string, said: Said): Promise<Settled> {
    const { chains } = this.books;
    const before = (target: string): PreparedDisk | undefined =>
      chains.of(domain)?.live.find((disk) => disk.target === target);
    const read = await Promise.all(said.live.map((xml) => reread(this.resolver, xml, before)));
    const disks = read.filter((disk) => disk !== undefined);
    // From here to the leases nothing is awaited: the books agree with each other.
    if (chains.isAhead({ domain, ...said })) {
      return { released: [], holds: this.holds(domain, said), differs: [] };
    }
    const changed = this.write(domain, said, disks);
    const released = this.lease(domain, said, disks);
    const differs = this.compare(domain, said, disks);
    this.leftovers.taken(domain, new Set(disks.flatMap(pathsOf)));
    if (said.undone) await this.leftovers.undo(domain, this.gone(domain, said.revoked));
    await this.leftovers.sweep(domain);
    if (changed.length > 0) await this.volumes.changed(changed);
    return { released, holds: this.holds(domain, said), unread: this.unread(domain, disks), differs };
  }

  /** Gives the paths of images that have joined or left a chain. */
  private write(domain: string, { name, epoch, revision, definition }: Said, disks: readonly RereadDisk[]): string[] {
    const { chains, leases } = this.books;
    const known = chains.of(domain);
    const of = { domain, name, epoch, revision, definition };
    // What was prepared for a command on its way is not forgotten for what was said before it.
    if (leases.isAwaited(domain, of)) {
      chains.settle({ ...of, live: known?.live ?? [], mismatches: known?.mismatches });
      return [];
    }
    const live = disks.map((disk): PreparedDisk => {
      const was = known?.live.find(({ target }) => target === disk.target);
      const chain = disk.whole ? disk.chain : (was?.chain ?? disk.chain);
      return { target: disk.target, ...(chain ? { chain } : {}) };
    });
    const mismatches = Object.entries(known?.mismatches ?? {}).filter(([target]) =>
      live.some((disk) => disk.target === target),
    );
    chains.settle({ ...of, live, mismatches: mismatches.length > 0 ? Object.fromEntries(mismatches) : undefined });
    return live.flatMap((disk) => {
      const was = known?.live.find(({ target }) => target === disk.target);
      if (!was || isDeepStrictEqual(pathsOf(was), pathsOf(disk))) return [];
      const [top = '', ...below] = pathsOf(disk);
      const data = { domain, target: disk.target, layers: [top, ...below] };
      this.host.tell({ entity: 'chain', name: top, type: 'changed', data });
      return [...pathsOf(was), top, ...below];
    });
  }

  private lease(domain: string, said: Said, disks: readonly RereadDisk[]): string[] {
    const { leases } = this.books;
    const open = new Map(disks.filter(({ whole }) => whole).map((disk) => [disk.target, leasesOfOne(disk)] as const));
    for (const { path, holder } of [...open.values()]
      .flat()
      .flatMap((lease) => leases.against(domain, lease).map(({ holder }) => ({ path: lease.path, holder })))) {
      this.host.log.error({ path, domains: [said.name, holder.name] }, 'two domains have one image open');
    }
    const unread = new Set(disks.filter(({ whole }) => !whole).map(({ target }) => target));
    return leases.settle({ ...said, domain }, { open, unread });
  }

  /** Claims of which nothing is held. */
  private gone(domain: string, claims: readonly string[]): string[] {
    const held = new Set(this.books.leases.all(domain).map(({ claim }) => claim));
    return claims.filter((claim) => !held.has(claim));
  }

  /** Disks that may stand on what operations on them have taken. */
  private unread(domain: string, disks: readonly RereadDisk[]): string[] {
    const held = this.books.leases.all(domain).flatMap(({ leases }) => leases.map(({ target }) => target));
    const needed = new Set(held.filter(isNeed).map(diskOfNeed));
    return disks.filter(({ target, whole }) => !whole && needed.has(target)).map(({ target }) => target);
  }

  /** Targets of disks that differ and of which it was not told: told now, when that is sure. */
  private compare(domain: string, { name, epoch, revision, sure }: Said, disks: readonly RereadDisk[]): string[] {
    const { chains, leases } = this.books;
    const known = chains.of(domain);
    if (!known || leases.isAwaited(domain, { epoch, revision })) return [];
    const found: Mismatches = Object.fromEntries(
      disks.filter(({ differences }) => differences.length > 0).map(({ target, differences }) => [target, differences]),
    );
    const told = known.mismatches ?? {};
    const fresh = Object.keys(found).filter((target) => !isDeepStrictEqual(found[target], told[target]));
    const kept = Object.fromEntries(Object.entries(found).filter(([target]) => sure || !fresh.includes(target)));
    chains.settle({ ...known, mismatches: Object.keys(kept).length > 0 ? kept : undefined });
    if (!sure) return fresh;
    for (const target of fresh) {
      const top = disks.find((disk) => disk.target === target)?.chain?.layers[0];
      const image = top ? describeLocation(top.location) : '';
      for (const difference of found[target] ?? []) {
        this.host.tell({
          entity: 'chain',
          name: image,
          type: 'mismatch',
          data: { domain, name, target, ...difference },
        });
      }
    }
    return [];
  }

  /** What was taken for a command that is on its way is not held for good yet. */
  private holds(domain: string, { revision }: Said): Settled['holds'] {
    const held = this.books.leases.all(domain).filter((claim) => claim.revision < revision);
    return held.map(({ claim, leases }) => ({ claim, leases }));
  }
}

const pathsOf = ({ chain }: Pick<PreparedDisk, 'chain'>): string[] =>
  (chain?.layers ?? []).map(({ location }) => describeLocation(location));
