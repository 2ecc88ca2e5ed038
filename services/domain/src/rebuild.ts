/**
 * Building what this copy knows: at its start, and again when JetStream was wiped.
 *
 * Every known host is asked for its inventory. Of domains whose host does not answer, the last event in the log tells
 * the last known state; without one there is only the registry's word that they exist.
 */
import { lastEvent } from '@virtbus/shared/bus';
import type { Cordons } from './cordons';
import type { EventFollower } from './events';
import type { Fleet } from './fleet';
import type { FleetWatch } from './fleet-watch';
import { hasLeft } from './projection';
import { entryOf, placeholder, type DomainEntry } from './registry/entries';
import { inParallel, type Reconciler } from './registry/reconciler';

/** A host that does not answer by then is taken in when its heartbeat is heard, milliseconds. */
const patienceMs = 2_000;

export class Rebuild {
  constructor(
    private readonly fleet: Fleet,
    private readonly watch: FleetWatch,
    private readonly reconciler: Reconciler,
    private readonly events: EventFollower,
    private readonly cordons: Cordons,
  ) {}

  /** The log is followed from now; what was before is asked of the hosts after that, so nothing falls between. */
  async first(): Promise<void> {
    await this.events.begin();
    await this.cordons.read();
    await this.askHosts();
    await this.fillIn();
  }

  /** Write the registry anew, from the hosts and from what this copy knows of those that are away. */
  async again(): Promise<void> {
    this.events.beginAgain();
    await this.cordons.restore();
    await this.askHosts();
    const domains = await this.reconciler.domains();
    const lost = this.fleet.projection.domains.filter(({ uuid }) => !domains.has(uuid));
    await this.reconciler.restore(lost.map(entryOf));
    await this.fleet.settler.restore(this.fleet.hosts.names());
    await this.fillIn();
  }

  private async askHosts(): Promise<void> {
    const { registry, hosts } = this.fleet;
    const remembered = await registry.on((tables) => tables.hosts.entries());
    for (const { value } of remembered) hosts.remember(value);
    await inParallel(hosts.list(), (at) => this.watch.look(at, patienceMs));
  }

  private async fillIn(): Promise<void> {
    const { projection } = this.fleet;
    const domains = await this.reconciler.domains();
    const unknown = [...domains.values()]
      .map(({ value }) => value)
      .filter(({ uuid, epoch, pending }) => {
        return !pending && !projection.get(uuid) && (projection.tombstone(uuid)?.epoch ?? -1) < epoch;
      });
    await inParallel(unknown, (entry) => this.lastKnown(entry));
  }

  private async lastKnown(entry: DomainEntry): Promise<void> {
    const { bus, knowledge, projection, registry } = this.fleet;
    const last = (await lastEvent(bus, { uuid: entry.uuid }))?.domain;
    const applies = last !== undefined && last.epoch >= entry.epoch;
    if (applies && hasLeft(last)) {
      projection.bury(last);
      await registry.forget(last);
    } else knowledge.heard(applies ? last : placeholder(entry));
  }
}
