/**
 * A domain's entry while it moves from one host to another. Each step is one compare-and-set, and the same step again
 * gives the same answer:
 *
 *   claim ─▶ moving: an epoch above all that were ever promised, and the name there
 *     ├─ commit ─▶ the domain lives there under that epoch
 *     └─ release ─▶ it stays; the migration is remembered, for a claim of its that comes late
 */
import {
  VirtError,
  type handoverClaim,
  type handoverCommit,
  type handoverRelease,
  type MigrationEnd,
} from '@virtbus/shared';
import { Conflict, type Entry } from '@virtbus/shared/bus';
import type { z } from 'zod';
import type { Claims } from '../registry/claims';
import type { DomainEntry } from '../registry/entries';
import type { Registry } from '../registry/registry';

type Asked<C extends { request: z.ZodType }> = z.output<C['request']>;

/** How long a name is kept for a domain that is on its way, milliseconds: far longer than any migration takes. */
const nameForMs = 7 * 86_400_000;
/** Migrations of a domain that came to nothing and are remembered. */
const remembered = 8;
const attempts = 8;

export class Handover {
  constructor(
    private readonly registry: Registry,
    private readonly claims: Pick<Claims, 'name'>,
  ) {}

  async claim({ id, domain, from, to, name }: Asked<typeof handoverClaim>): Promise<{ epoch: number }> {
    return this.change(domain, async (entry) => {
      if (!entry) throw new VirtError('DOMAIN_NOT_FOUND', { domain });
      const { epoch, moving, highest = 0, withdrawn = [] } = entry;
      if (withdrawn.includes(id)) throw withdrawnAlready(id);
      if (moving?.id === id) return { answer: { epoch: moving.epoch } };
      if (lives(entry, to) && epoch > from.epoch) return { answer: { epoch } };
      if (moving)
        throw new VirtError('RESOURCE_BUSY', { detail: `domain '${entry.name}' is being migrated (${moving.id})` });
      if (!lives(entry, from) || epoch !== from.epoch || entry.pending) {
        throw new VirtError('EPOCH_STALE', { domain: entry.name, mine: epoch, asked: from.epoch });
      }
      if (name !== entry.name) await this.claims.name({ name, uuid: domain, forMs: nameForMs });
      const promised = Math.max(epoch, highest) + 1;
      return {
        answer: { epoch: promised },
        write: { ...entry, moving: { id, to, epoch: promised, name }, highest: promised },
      };
    });
  }

  /** Images of the domain are about to be leased where it goes. */
  async opens({ id, domain }: { id: string; domain: string }): Promise<void> {
    await this.change(domain, async (entry) => {
      if (entry?.moving?.id !== id) throw withdrawnAlready(id);
      return { answer: undefined, write: { ...entry, moving: { ...entry.moving, images: true } } };
    });
  }

  /** What is promised to this migration, if images were leased for it. */
  async opened({ id, domain }: { id: string; domain: string }): Promise<DomainEntry['moving']> {
    const moving = (await this.registry.domain(domain))?.value.moving;
    return moving?.id === id && moving.images ? moving : undefined;
  }

  /** Whether the domain may have images where it goes: it opened some, or has been heard of from there before we were told. */
  async brought({ id, domain, to, epoch }: Asked<typeof handoverCommit>): Promise<boolean> {
    const entry = (await this.registry.domain(domain))?.value;
    if (!entry) return true;
    return (lives(entry, to) && entry.epoch === epoch) || (entry.moving?.id === id && entry.moving.images === true);
  }

  async commit({ domain, to, epoch, name }: Asked<typeof handoverCommit>): Promise<Record<string, never>> {
    let former: string | undefined;
    await this.change(domain, async (entry) => {
      if (entry && entry.epoch >= epoch) return { answer: undefined };
      former = entry?.name;
      const { highest, withdrawn } = entry ?? {};
      const write: DomainEntry = {
        uuid: domain,
        name,
        host: to.host,
        driver: to.driver,
        epoch,
        highest: Math.max(epoch, highest ?? 0),
        ...(withdrawn && { withdrawn }),
      };
      return { answer: undefined, write };
    });
    if (former !== undefined && former !== name) await this.registry.release(former, domain);
    return {};
  }

  async release({ id, domain, fence }: Asked<typeof handoverRelease>): Promise<{ epoch: number }> {
    let unused: string | undefined;
    const answer = await this.change(domain, async (entry) => {
      if (!entry) return { answer: { epoch: 0 } };
      const { moving, withdrawn = [], highest = 0, ...rest } = entry;
      if (withdrawn.includes(id)) return { answer: { epoch: entry.epoch } };
      const ours = moving?.id === id;
      if (ours && moving.name !== entry.name) unused = moving.name;
      const epoch = ours && fence ? Math.max(entry.epoch, highest) + 1 : entry.epoch;
      const write: DomainEntry = {
        ...rest,
        epoch,
        highest: Math.max(epoch, highest),
        withdrawn: [...withdrawn, id].slice(-remembered),
        ...(moving && !ours && { moving }),
      };
      return { answer: { epoch }, write };
    });
    if (unused !== undefined) await this.registry.release(unused, domain);
    return answer;
  }

  /** Read, decide, write; again when another was first. */
  private async change<A>(
    uuid: string,
    decide: (entry: DomainEntry | undefined) => Promise<{ answer: A; write?: DomainEntry }>,
  ): Promise<A> {
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const there = await this.registry.domain(uuid);
      const { answer, write } = await decide(there?.value);
      if (!write) return answer;
      try {
        await this.put(uuid, write, there);
        return answer;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new VirtError('RESOURCE_BUSY', { detail: `the registry's entry of domain ${uuid} changes all the time` });
  }

  private put(uuid: string, entry: DomainEntry, there: Entry<DomainEntry> | undefined): Promise<unknown> {
    return this.registry.on(({ domains }) =>
      there ? domains.update(uuid, entry, there.revision) : domains.create(uuid, entry),
    );
  }
}

const withdrawnAlready = (id: string): VirtError =>
  new VirtError('OPERATION_ABORTED', { detail: `migration ${id} was withdrawn` });

const lives = (entry: DomainEntry, { host, driver }: MigrationEnd): boolean =>
  entry.host === host && entry.driver === driver;
