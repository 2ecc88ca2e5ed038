/**
 * Does what `reconcile` decides, for inventories as they come in. Those that come together are compared with one reading
 * of the buckets: a thousand hosts that return at once cost one sweep, not a thousand.
 */
import type { Inventory } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import { encodeToken } from '@virtbus/shared';
import type { Entry } from '@virtbus/shared/bus';
import type { Knowledge } from '../knowledge';
import type { Projection, Tombstone } from '../projection';
import type { AskHost } from './claims';
import type { DomainEntry } from './entries';
import { reconcile, type Action, type Registered, type Trouble } from './reconcile';
import { yielding, type Registry } from './registry';

/** How long inventories are gathered before they are compared, milliseconds: a moment, or until those that were asked for are here. */
const gatherMs = 50;
const gatherAtMostMs = 500;
/** Writes under way at a time. */
const width = 32;

export class Reconciler {
  private gathered: Inventory[] = [];
  private pass: Promise<void> | undefined;
  private comparing: Promise<void> = Promise.resolve();
  /** Inventories that have been asked for and are not here yet. */
  private expected = 0;
  private allHere: (() => void) | undefined;

  constructor(
    private readonly registry: Pick<Registry, 'on' | 'forget'>,
    private readonly projection: Projection,
    private readonly knowledge: Pick<Knowledge, 'heard' | 'once'>,
    private readonly askHost: AskHost,
    private readonly log: Log,
  ) {}

  /** An inventory is asked for: those that arrive before it wait for it. Call what is returned when it was taken, or will not come. */
  expect(): () => void {
    this.expected++;
    let here = false;
    return () => {
      if (here) return;
      here = true;
      if (--this.expected === 0) this.allHere?.();
    };
  }

  /** Resolves when the inventory has been compared and what follows has been done. */
  async take(inventory: Inventory): Promise<void> {
    this.gathered.push(inventory);
    return (this.pass ??= this.gather());
  }

  /** The domains of the registry as they are now, by uuid. */
  async domains(): Promise<Registered['domains']> {
    return byKey(await this.registry.on(({ domains }) => domains.entries()));
  }

  /** Write what is known of domains whose hosts are away into a registry that was lost. */
  async restore(entries: Iterable<DomainEntry>): Promise<void> {
    const actions = [...entries].flatMap((entry): Action[] => [
      { kind: 'create', entry },
      { kind: 'claim-name', name: entry.name, uuid: entry.uuid },
    ]);
    await inParallel(actions, (action) => this.act(action));
  }

  private async gather(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, gatherMs));
    await Promise.all([this.comparing, this.awaited()]);
    const inventories = this.gathered;
    this.gathered = [];
    this.pass = undefined;
    const compared = this.compare(inventories);
    this.comparing = compared.catch(() => undefined);
    return compared;
  }

  private awaited(): Promise<void> {
    if (this.expected === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, gatherAtMostMs);
      this.allHere = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async read(): Promise<Registered> {
    return this.registry.on(async ({ domains, names }) => {
      const [placed, claimed] = await Promise.all([domains.entries(), names.entries()]);
      return { domains: byKey(placed), names: byKey(claimed) };
    });
  }

  private async compare(inventories: Inventory[]): Promise<void> {
    // What the hosts say is good to know even when the registry cannot be reached now.
    const registered = await this.read().catch((err: unknown) => {
      this.log.warn({ err }, 'inventories are taken without the registry');
      return undefined;
    });
    for (const inventory of inventories) {
      const decision = reconcile(inventory, registered ?? { domains: new Map(), names: new Map() }, Date.now());
      for (const summary of decision.adopt) this.knowledge.heard(summary);
      for (const left of inventory.gone) this.leave(inventory, left);
      if (!registered) continue;
      for (const trouble of decision.troubles) await this.tell(trouble, inventory);
      await inParallel(decision.actions, (action) => this.act(action));
    }
  }

  private leave({ status: { host, driver } }: Inventory, left: Inventory['gone'][number]): void {
    const known = this.projection.get(left.uuid);
    if (!known || known.host === host) this.projection.bury({ ...left, host, driver });
  }

  private async act(action: Action): Promise<void> {
    if (action.kind === 'forget') return this.registry.forget(action);
    const uuid = action.kind === 'claim-name' ? action.uuid : action.entry.uuid;
    if (this.departed(uuid)) return;
    await this.write(action);
    // Whoever let go of it meanwhile found nothing to let go of.
    const left = this.departed(uuid);
    if (left) await this.registry.forget(left);
  }

  /** An inventory may be older than the end of a domain that it lists. */
  private departed(uuid: string): Tombstone | undefined {
    return this.projection.get(uuid) ? undefined : this.projection.departed(uuid);
  }

  private async write(action: Exclude<Action, { kind: 'forget' }>): Promise<void> {
    switch (action.kind) {
      case 'create':
        await this.registry.on(({ domains }) => yielding(() => domains.create(action.entry.uuid, action.entry)));
        return;
      case 'update':
        await this.registry.on(({ domains }) =>
          yielding(() => domains.update(action.entry.uuid, action.entry, action.revision)),
        );
        return;
      case 'claim-name':
        await this.registry.on(({ names }) =>
          yielding(() => names.create(encodeToken(action.name), { uuid: action.uuid, until: 0 })),
        );
    }
  }

  private async tell(trouble: Trouble, { status }: Inventory): Promise<void> {
    const { kind, ...facts } = trouble;
    // The inventory may be a little older than the definition.
    if (kind === 'missing' && (await this.askHost(status, trouble.uuid)) !== 'absent') return;
    this.knowledge.once(JSON.stringify(trouble), () => {
      switch (kind) {
        case 'two-hosts':
          return this.log.error(facts, 'two hosts claim the same domain; the one that was first keeps it');
        case 'name-conflict':
          return this.log.error(facts, 'two domains have the same name; rename one by its uuid');
        case 'stale-host':
          return this.log.warn(facts, 'a host still lists a domain that has moved on to another');
        case 'missing':
          return this.log.warn(facts, 'missing: the host does not list a domain of its own; it is kept as last known');
      }
    });
  }
}

const byKey = <T>(entries: Entry<T>[]): Map<string, Entry<T>> => new Map(entries.map((entry) => [entry.key, entry]));

/** Run work over many things, `width` at a time. */
export async function inParallel<T>(things: readonly T[], work: (thing: T) => Promise<unknown>): Promise<void> {
  const queue = things.values();
  await Promise.all(
    Array.from({ length: Math.min(width, things.length) }, async () => {
      for (const thing of queue) await work(thing);
    }),
  );
}
