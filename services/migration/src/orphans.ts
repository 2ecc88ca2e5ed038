/**
 * Migrations that hosts have begun and no journal knows of: it was lost while no copy of this service ran. Hosts tell how many
 * have not ended with them; they are asked for these, and what nobody drives is driven on from what its sides say. And, the other way
 * round, those of which the journal knows, and a host would have to be told that the fleet knows no more.
 */
import { getDomain, listHosts, migrationOpen, type MigrationEnd, type OpenMigration } from '@virtbus/shared';
import { call, callDriver, type Bus } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';
import { newLedger } from '@virtbus/migration-saga';
import type { Sagas } from './sagas';

/** Between two looks, milliseconds. */
const everyMs = 10_000;

export class Orphans {
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly bus: Bus,
    private readonly sagas: Pick<Sagas, 'adopt' | 'reckon'>,
    private readonly log: Log,
  ) {}

  start(): void {
    void this.look()
      .catch((err: unknown) => this.log.debug({ err }, 'hosts cannot be asked for their migrations now'))
      .finally(() => {
        if (!this.stopped) this.timer = setTimeout(() => this.start(), everyMs).unref();
      });
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    const { hosts } = await call(this.bus, listHosts, {});
    await this.sagas.reckon((name) => hosts.some(({ host }) => host === name));
    const busy = hosts.filter(({ online, migrations = 0 }) => online && migrations > 0);
    const told = await Promise.all(busy.map(({ host, driver }) => this.ask({ host, driver })));
    // The source knows the epoch that the domain moves from.
    const all = told.flat().sort((one, other) => Number(one.role === 'target') - Number(other.role === 'target'));
    for (const { at, ...open } of all) await this.adopt(at, open);
  }

  private async ask(at: MigrationEnd): Promise<(OpenMigration & { at: MigrationEnd })[]> {
    const { migrations } = await callDriver(this.bus, at, migrationOpen, {});
    return migrations.map((open) => ({ ...open, at }));
  }

  private async adopt(at: MigrationEnd, { role, peer, epoch, ...open }: OpenMigration): Promise<void> {
    const [source, target] = role === 'source' ? [at, peer] : [peer, at];
    // Both may have heard of anything; who has not is owed nothing, and says so.
    const asked = { sourceAsked: true, targetAsked: true, performAsked: true };
    const ledger = { ...newLedger(open.options), ...asked };
    const from = epoch ?? (await this.epochAt(open.domain, source));
    await this.sagas.adopt({ ...open, epoch: from, source, target, ledger });
  }

  /** The epoch at the source; one before that of the target where the domain lives there by now. */
  private async epochAt(uuid: string, source: MigrationEnd): Promise<number> {
    const { domain } = await call(this.bus, getDomain, {}, { target: uuid });
    return domain.host === source.host ? domain.epoch : Math.max(0, domain.epoch - 1);
  }
}
