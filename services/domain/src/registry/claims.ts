/**
 * Claiming a name and a place for a domain before its host is asked, so that of many who define the same name at once
 * exactly one wins; and taking claims back.
 *
 * A claim is pending until the host has answered. One whose maker died is worth nothing after its time, unless the host
 * says that the domain is there: then it only lacked the last stroke.
 */
import { encodeToken, VirtError } from '@virtbus/shared';
import { Conflict, lastEvent, type Entry } from '@virtbus/shared/bus';
import type { At } from '../hosts';
import { hasLeft, type Projection } from '../projection';
import { entryOf, type DomainEntry, type NameEntry } from './entries';
import { yielding, type Registry } from './registry';

export interface Want {
  uuid: string;
  name: string;
  commandId: string;
  /** For how long the claim holds without an answer of the host, milliseconds. */
  forMs: number;
}

/** Asks a host about a domain: the name it has there, that it is not there, or that nobody can tell. */
export type AskHost = (at: At, uuid: string) => Promise<{ name: string } | 'absent' | 'unknown'>;

export interface Claim {
  at: At;
  epoch: number;
  /** The domain was there before this claim. */
  existed: boolean;
  /** The host has it. */
  settle(): Promise<void>;
  /** The host has refused it: what this claim made goes, what others made stays. */
  undo(): Promise<void>;
}

/** How often a claim looks again after another copy was first. */
const attempts = 5;

export class Claims {
  constructor(
    private readonly registry: Registry,
    private readonly projection: Projection,
    private readonly askHost: AskHost,
  ) {}

  /**
   * Claim name and place for a definition. Throws `DOMAIN_EXISTS` in libvirt's words, or what `place` throws.
   * @param place chooses the host of a domain that is new
   */
  async domain(want: Want, place: () => Promise<At>): Promise<Claim> {
    await persistently(want.name, () => this.look(want));
    const undoName = await this.name(want);
    try {
      return await persistently(want.name, () => this.place(want, place, undoName));
    } catch (error) {
      await undoName();
      throw error;
    }
  }

  /**
   * Claim a name alone. Gives what takes the claim back; that does nothing when the domain had the name already.
   * Throws `DOMAIN_EXISTS`.
   */
  async name({ name, uuid, forMs }: Omit<Want, 'commandId'>): Promise<() => Promise<void>> {
    const key = encodeToken(name);
    const claim: NameEntry = { uuid, until: Date.now() + forMs };
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const holder = await this.registry.name(name);
      if (holder?.value.uuid === uuid) return async () => undefined;
      if (holder && (await this.isHeld(name, holder.value))) {
        throw new VirtError('DOMAIN_EXISTS', {
          detail: `domain '${name}' already exists with uuid ${holder.value.uuid}`,
        });
      }
      if (!holder) await this.checkUnregistered(name, uuid);
      const won = await this.registry.on(({ names }) =>
        yielding(() => (holder ? names.update(key, claim, holder.revision) : names.create(key, claim))),
      );
      if (won) return () => this.registry.release(name, uuid);
    }
    throw contested(name);
  }

  /** A registry that was wiped a moment ago knows no names: those that hosts told us are taken none the less. */
  private async checkUnregistered(name: string, uuid: string): Promise<void> {
    const known = this.projection.named(name);
    if (!known || known.uuid === uuid || (await this.askHost(known, known.uuid)) === 'absent') return;
    throw new VirtError('DOMAIN_EXISTS', { detail: `domain '${name}' already exists with uuid ${known.uuid}` });
  }

  private async place(want: Want, choose: () => Promise<At>, undoName: () => Promise<void>): Promise<Claim> {
    const { standing, dead } = await this.look(want);
    if (standing) return this.claim(standing, standing.pending === undefined, undoName, async () => undefined);
    const epoch = 1 + Math.max(0, dead?.value.epoch ?? 0, await this.lastEpoch(want.uuid));
    const { host, driver } = await choose();
    const { uuid, name, commandId, forMs } = want;
    const pending = { commandId, until: Date.now() + forMs };
    const made: DomainEntry = { uuid, name, host, driver, epoch, pending };
    const revision = await this.registry.on(({ domains }) =>
      dead ? domains.update(uuid, made, dead.revision) : domains.create(uuid, made),
    );
    return this.claim(made, false, undoName, async () => {
      await this.registry.on(({ domains }) => yielding(() => domains.delete(uuid, revision)));
    });
  }

  private claim(
    entry: DomainEntry,
    existed: boolean,
    undoName: () => Promise<void>,
    undoPlace: () => Promise<void>,
  ): Claim {
    const { uuid, name, host, driver, epoch } = entry;
    return {
      at: { host, driver },
      epoch,
      existed,
      settle: () => this.settle({ uuid, name, host, driver, epoch }),
      undo: async () => {
        await undoPlace();
        // Another call with the same command id may have settled what this one began.
        const settled = await this.registry.domain(uuid);
        if (!settled || settled.value.pending) await undoName();
      },
    };
  }

  private async settle(entry: DomainEntry): Promise<void> {
    await this.registry.on(async ({ domains, names }) => {
      for (let attempt = 1; attempt <= attempts; attempt++) {
        const there = await domains.get(entry.uuid);
        if (there && (there.value.epoch > entry.epoch || !there.value.pending)) return;
        const write = (): Promise<unknown> =>
          there ? domains.update(entry.uuid, entry, there.revision) : domains.create(entry.uuid, entry);
        if (await yielding(write)) {
          // Another call with the same id may have taken back what both stood on.
          if (!there) await yielding(() => names.create(encodeToken(entry.name), { uuid: entry.uuid, until: 0 }));
          return;
        }
      }
    });
  }

  /**
   * The entry of a domain that exists or is about to; or the entry of one that is no more, which a new one replaces in the
   * very revision that was judged. A domain that its host told of but the registry lost is written again.
   * Throws `DOMAIN_EXISTS` when the domain has another name.
   */
  private async look({ uuid, name }: Want): Promise<{ standing?: DomainEntry; dead?: Entry<DomainEntry> }> {
    const entry = await this.registry.domain(uuid);
    const known = this.projection.get(uuid);
    if (entry && !known && !(await this.stands(entry.value))) return { dead: entry };
    const has = known?.name ?? entry?.value.name;
    if (has === undefined) return {};
    if (has !== name) {
      throw new VirtError('DOMAIN_EXISTS', { detail: `domain '${has}' is already defined with uuid ${uuid}` });
    }
    if (entry && (!known || entry.value.epoch >= known.epoch)) return { standing: entry.value };
    const standing = entryOf(known!);
    await this.registry.on(({ domains }) =>
      entry ? domains.update(uuid, standing, entry.revision) : domains.create(uuid, standing),
    );
    return { standing };
  }

  /** Is there, or may there be, a domain behind this entry? */
  private async stands(entry: DomainEntry): Promise<boolean> {
    const left = this.projection.tombstone(entry.uuid);
    if (left && left.epoch >= entry.epoch) return false;
    if (!entry.pending || Date.now() < entry.pending.until) return true;
    return (await this.askHost(entry, entry.uuid)) !== 'absent';
  }

  /** Does the domain that claimed a name have it, or may it still come to have it? */
  private async isHeld(name: string, { uuid, until }: NameEntry): Promise<boolean> {
    const known = this.projection.get(uuid);
    if (known?.name === name || Date.now() < until) return true;
    if (known) return false;
    const entry = await this.registry.domain(uuid);
    if (!entry) {
      const last = (await lastEvent(this.registry.bus, { uuid }))?.domain;
      return last !== undefined && last.name === name && !hasLeft(last);
    }
    if (entry.value.name !== name) {
      const there = await this.askHost(entry.value, uuid);
      return there === 'unknown' || (there !== 'absent' && there.name === name);
    }
    return this.stands(entry.value);
  }

  /** The epoch a domain of this uuid was last in: a new life needs a higher one, so that the old cannot be taken for it. */
  private async lastEpoch(uuid: string): Promise<number> {
    const left = this.projection.tombstone(uuid)?.epoch ?? 0;
    return Math.max(left, (await lastEvent(this.registry.bus, { uuid }))?.domain.epoch ?? 0);
  }
}

/** Try again when another copy was first; what it wrote is then judged. */
async function persistently<T>(name: string, attempt: () => Promise<T>): Promise<T> {
  for (let n = 1; n <= attempts; n++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
    }
  }
  throw contested(name);
}

const contested = (name: string): VirtError =>
  new VirtError('DOMAIN_EXISTS', { detail: `domain '${name}' is being defined by others` });
