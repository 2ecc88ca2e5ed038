/**
 * Which domain holds which image on this host: the local truth about disk leases, one file a domain.
 *
 *   <state>/leases/<uuid>.json   name, epoch, and what each command has taken
 *
 * A lease belongs to the command it was taken for (its claim) and is never let go by time: only when that command came to
 * nothing, or when the domain's driver says at a later revision that the image is not used. Two commands on one domain may
 * hold the same image; it is free when both have let go.
 */
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { diskOfNeed, isNeed, VirtError, type ImageLease, type LeaseConflict, type LeaseHolder } from '@virtbus/shared';
import { dropReplaced, makeFolder, readReplaced, replacedIn, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';

/** What one command has taken. */
export interface Claim {
  id: string;
  /** Of the domain when it was taken. */
  revision: number;
  /** When, milliseconds since 1970. */
  taken: number;
  leases: ImageLease[];
}

interface DomainLeases {
  version: 1;
  domain: string;
  name: string;
  driver: string;
  epoch: number;
  claims: Claim[];
}

/** A claim that the driver uses, wholly or for one disk. */
export interface Use {
  claim: string;
  target?: string | undefined;
}

/** What a domain's driver says at a revision. */
export interface Settling {
  domain: string;
  name: string;
  driver: string;
  epoch: number;
  revision: number;
  uses: readonly Use[];
  /** Claims that it never begins to use. */
  revoked?: readonly string[];
}

/** What has been seen of the disks that it speaks of. */
export interface Seen {
  /** What the guest has open of some disks, by target: neither more nor less is held for them. */
  open?: ReadonlyMap<string, readonly ImageLease[]>;
  /**
   * Disks of which nobody has seen on what they stand by now. It may be what an operation needed that has ended since: that is
   * held on.
   */
  unread?: ReadonlySet<string>;
}

export interface Taking extends Omit<Claim, 'taken'> {
  domain: string;
  name: string;
  driver: string;
  epoch: number;
}

export class LeaseBook {
  /** Called with the paths of images that a domain holds no longer. */
  onLetGo: (paths: readonly string[]) => void = () => undefined;
  private readonly domains = new Map<string, DomainLeases>();
  /** Identity → the domains that hold it. */
  private readonly holders = new Map<string, Set<string>>();
  /** Images that are being changed, and how: nobody begins to use them. Ends with our process, as the change does. */
  private readonly changing = new Map<string, string>();

  constructor(
    private readonly host: string,
    private readonly folder: string,
    log: Log,
  ) {
    makeFolder(folder, 0o700);
    for (const name of replacedIn(folder, '.json')) {
      const record = readRecord(readReplaced(join(folder, name)));
      if (record) this.remember(record);
      else log.error({ file: join(folder, name) }, 'cannot read the leases of a domain; the file is left as it is');
    }
  }

  /**
   * Take all of it or, when others are in the way, nothing.
   * Throws `EPOCH_STALE` when the domain has held images under a higher epoch.
   */
  take({ domain, name, driver, epoch, ...claim }: Taking): LeaseConflict[] {
    const known = this.domains.get(domain);
    if (known && known.epoch > epoch)
      throw new VirtError('EPOCH_STALE', { domain: name, mine: known.epoch, asked: epoch });
    for (const { identity, path } of claim.leases) {
      const what = this.changing.get(identity);
      if (what) throw new VirtError('IMAGE_IN_USE', { path, users: [`it is being ${what}`] });
    }
    const conflicts = claim.leases.flatMap((lease) => this.against(domain, lease));
    if (conflicts.length > 0 || claim.leases.length === 0) return conflicts;
    // Those of a lower epoch, too: what its driver does not use under the new one goes by its word.
    const others = known?.claims.filter(({ id }) => id !== claim.id) ?? [];
    // So does what was taken under the same claim before: a command that comes again may name other disks than its guest has.
    const before = known?.claims.find(({ id }) => id === claim.id)?.leases ?? [];
    const leases = [...claim.leases, ...before.filter((lease) => !claim.leases.some((one) => isOfOne(one, lease)))];
    this.keep({
      version: 1,
      domain,
      name,
      driver,
      epoch,
      claims: [...others, { ...claim, leases, taken: Date.now() }],
    });
    return [];
  }

  /** The image that had this identity is no more: nobody has it open, or the system had not given it to another. */
  forget(identity: string): void {
    for (const domain of [...(this.holders.get(identity) ?? [])])
      this.change(this.domains.get(domain)!, (claims) =>
        claims.map((claim) => ({ ...claim, leases: claim.leases.filter((lease) => lease.identity !== identity) })),
      );
  }

  /** Commands have come to nothing. Gives the identities that the domain holds no longer. */
  release(domain: string, claims: readonly string[]): string[] {
    const known = this.domains.get(domain);
    return known ? this.change(known, (all) => all.filter(({ id }) => !claims.includes(id))) : [];
  }

  /**
   * The driver says what it uses at a revision. A claim of that revision or later may be for a command that is still on
   * its way to it; one that it does not know by then it will refuse.
   */
  settle(of: Settling, { open = new Map(), unread = new Set() }: Seen = {}): string[] {
    const { domain, name, driver, epoch, uses, revoked = [] } = of;
    const known = this.domains.get(domain);
    if (known && known.epoch > epoch) return [];
    const settled = (claim: Claim): Claim => {
      if (known?.epoch === epoch && claim.revision >= of.revision && !revoked.includes(claim.id)) return claim;
      const used = uses.filter(({ claim: id }) => id === claim.id);
      if (used.some(({ target }) => target === undefined)) return claim;
      const targets = new Set(used.flatMap(({ target }) => target ?? []));
      const kept = claim.leases.filter(
        ({ target }) =>
          (targets.has(target) && !open.has(target)) || (isNeed(target) && unread.has(diskOfNeed(target))),
      );
      return { ...claim, leases: [...kept, ...[...targets].flatMap((target) => open.get(target) ?? [])] };
    };
    // What is used and in no book: the book was lost.
    const ids = new Set(uses.filter(({ target = '' }) => open.has(target)).map(({ claim }) => claim));
    for (const { id } of known?.claims ?? []) ids.delete(id);
    const lost = [...ids].map((id): Claim => ({ id, revision: of.revision - 1, taken: Date.now(), leases: [] }));
    const record = known ?? { version: 1, domain, name, driver, epoch, claims: [] };
    return this.change({ ...record, epoch }, (claims) => [...claims, ...lost].map(settled));
  }

  /** A command may be on its way that was prepared when the domain was at this revision, or later. */
  isAwaited(domain: string, { epoch, revision }: { epoch: number; revision: number }): boolean {
    const known = this.domains.get(domain);
    return known?.epoch === epoch && known.claims.some((claim) => claim.revision >= revision);
  }

  /** Nobody takes the image while the result is held. Throws `IMAGE_IN_USE` when somebody changes it already. */
  bar(identity: string, path: string, what: string): Disposable {
    const already = this.changing.get(identity);
    if (already) throw new VirtError('IMAGE_IN_USE', { path, users: [`it is being ${already}`] });
    this.changing.set(identity, what);
    return { [Symbol.dispose]: () => void this.changing.delete(identity) };
  }

  /** Who holds an image. */
  of(identity: string): LeaseHolder[] {
    return [...(this.holders.get(identity) ?? [])].flatMap((domain) => {
      const record = this.domains.get(domain)!;
      return record.claims
        .filter(({ leases }) => leases.some((lease) => lease.identity === identity))
        .map(({ id }) => this.holder(record, id));
    });
  }

  /** Every claim, or those of one domain, with all that it holds. */
  all(domain?: string): (LeaseHolder & Omit<Claim, 'id'>)[] {
    const records = domain === undefined ? [...this.domains.values()] : [this.domains.get(domain)];
    return records.flatMap((record) =>
      (record?.claims ?? []).map(({ id, ...claim }) => ({ ...this.holder(record!, id), ...claim })),
    );
  }

  /** Others who hold an image that this domain cannot share with them. */
  against(domain: string, lease: ImageLease): LeaseConflict[] {
    return [...(this.holders.get(lease.identity) ?? [])].flatMap((other) => {
      const record = this.domains.get(other)!;
      // The same disk of the domain may be prepared again, another one of its disks is somebody else.
      const inTheWay = ({ identity, mode, target }: ImageLease): boolean =>
        identity === lease.identity &&
        (mode === 'exclusive' || lease.mode === 'exclusive') &&
        (other !== domain || diskOfNeed(target) !== diskOfNeed(lease.target));
      const claim = record.claims.find(({ leases }) => leases.some(inTheWay));
      return claim ? [{ lease, holder: this.holder(record, claim.id) }] : [];
    });
  }

  private change(known: DomainLeases, to: (claims: Claim[]) => Claim[]): string[] {
    const before = identitiesOf(known);
    const claims = to(known.claims).filter(({ leases }) => leases.length > 0);
    const after = { ...known, claims };
    if (isDeepStrictEqual(after, this.domains.get(known.domain) ?? { ...known, claims: [] })) return [];
    this.keep(after);
    const paths = pathsOf(after);
    const left = [...pathsOf(known)].filter((path) => !paths.has(path));
    if (left.length > 0) this.onLetGo(left);
    const still = identitiesOf(after);
    return [...before].filter((identity) => !still.has(identity));
  }

  private keep(record: DomainLeases): void {
    const path = join(this.folder, `${record.domain}.json`);
    if (record.claims.length > 0) replaceFile(path, JSON.stringify(record), false);
    else dropReplaced(path);
    this.remember(record);
  }

  private remember(record: DomainLeases): void {
    for (const identity of identitiesOf(this.domains.get(record.domain))) {
      const holders = this.holders.get(identity);
      holders?.delete(record.domain);
      if (holders?.size === 0) this.holders.delete(identity);
    }
    if (record.claims.length > 0) this.domains.set(record.domain, record);
    else this.domains.delete(record.domain);
    for (const identity of identitiesOf(record)) {
      const holders = this.holders.get(identity) ?? new Set();
      this.holders.set(identity, holders.add(record.domain));
    }
  }

  private holder({ domain, name, driver, epoch }: DomainLeases, claim: string): LeaseHolder {
    return { domain, name, host: this.host, driver, epoch, claim };
  }
}

const isOfOne = (a: ImageLease, b: ImageLease): boolean => a.identity === b.identity && a.target === b.target;

function identitiesOf(record: DomainLeases | undefined): Set<string> {
  return new Set(record?.claims.flatMap(({ leases }) => leases.map(({ identity }) => identity)));
}

function pathsOf(record: DomainLeases): Set<string> {
  return new Set(record.claims.flatMap(({ leases }) => leases.map(({ path }) => path)));
}

function readRecord(text: string | undefined): DomainLeases | undefined {
  try {
    const record = JSON.parse(text ?? '') as DomainLeases | null;
    return record?.version === 1 && Array.isArray(record.claims) ? record : undefined;
  } catch {
    return undefined;
  }
}
