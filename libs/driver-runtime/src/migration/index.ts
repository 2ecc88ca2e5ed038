/** The host's part in migrations: the endpoints of both sides, and taking up what a former process had begun. */
import { formatDomain, parseDomain } from '@virtbus/domain-xml';
import {
  migrationBegin,
  migrationCheck,
  migrationConfirm,
  migrationFinish,
  migrationForsake,
  migrationLimits,
  migrationOpen,
  migrationPerform,
  migrationPostcopy,
  migrationPrepare,
  migrationStatus,
  migrationSuspend,
  migrationUndo,
  VirtError,
  type MigrationOptions,
  type MigrationReason,
  type OpenMigration,
} from '@virtbus/shared';
import { driverEndpoint, type Call, type Endpoint } from '@virtbus/shared/bus';
import type { z } from 'zod';
import { facet } from '../driver';
import type { Actor } from '../actor';
import type { DriverHost } from '../host';
import { guestOf } from '../ops/op';
import { MigrationBook } from './book';
import { definitionFor, given } from './documents';
import { mustLeaveNothing } from './left-behind';
import { MigrationSource } from './source';
import { MigrationTarget, nameTaken } from './target';

export class Migrations {
  private readonly source: MigrationSource;
  private readonly target: MigrationTarget;
  private readonly book: MigrationBook;

  constructor(private readonly host: DriverHost) {
    this.book = new MigrationBook(`${host.store.folder}/migrations`, host.log);
    this.source = new MigrationSource(host, this.book, 'source');
    this.target = new MigrationTarget(host, this.book, 'target');
  }

  /** Before guests are looked for: of one that was handed over the end is not told. */
  recall(): void {
    for (const record of this.book.open) if (record.role === 'source') this.source.recall(record);
  }

  /** Once the guests that were here are found again. */
  async takeUp(): Promise<void> {
    await this.target.endStrays();
    await Promise.all(
      this.book.open.map(async (record) => {
        try {
          await this[record.role].resume(record);
        } catch (err) {
          this.host.log.error({ err, migration: record.id }, 'cannot take up a migration; it stays as it was');
        }
      }),
    );
  }

  /** Those that have not ended here. One of which nothing is known but that it is not to be has. */
  open(): OpenMigration[] {
    return this.book.open.flatMap(({ id, role, domain, sourceName: name, peer, options }) => {
      if (name === undefined || !peer || !options) return [];
      const epoch = role === 'source' ? this.host.find(domain)?.record.epoch : undefined;
      return [{ id, role, domain, name, peer, options, ...(epoch !== undefined && { epoch }) }];
    });
  }

  endpoints(): Endpoint[] {
    const { host, source, target } = this;
    const at = { host: host.name, driver: host.driver };
    return [
      driverEndpoint(at, migrationCheck, (ask, call) => this.check(ask, call)),
      driverEndpoint(at, migrationBegin, (ask, call) => source.begin(domainOf(call), ask, call)),
      driverEndpoint(at, migrationPerform, (ask, call) => source.perform(ask, call)),
      driverEndpoint(at, migrationConfirm, (ask, call) => source.confirm(ask, call)),
      driverEndpoint(at, migrationPrepare, (ask, call) => target.prepare(domainOf(call), ask, call)),
      driverEndpoint(at, migrationFinish, (ask) => target.finish(ask)),
      driverEndpoint(at, migrationForsake, ({ id }) => target.forsake(id)),
      driverEndpoint(at, migrationUndo, (ask, call) =>
        ask.role === 'source' ? source.undo(domainOf(call), ask) : target.undo(domainOf(call), ask),
      ),
      driverEndpoint(at, migrationStatus, async ({ id, role }) => this[role].status(id)),
      driverEndpoint(at, migrationOpen, async () => ({ migrations: this.open() })),
      driverEndpoint(at, migrationLimits, (ask, call) => source.limits(ask, call)),
      driverEndpoint(at, migrationPostcopy, ({ id }, call) => source.postcopy(id, call)),
      driverEndpoint(at, migrationSuspend, async ({ id }, call) => {
        await source.suspend(id, call);
        return { domain: host.get(domainOf(call)).summary() };
      }),
    ];
  }

  private async check(
    { role, peer, options, document, ...shown }: z.output<typeof migrationCheck.request>,
    call: Call,
  ): Promise<z.output<typeof migrationCheck.response>> {
    const { host } = this;
    const own = { host: host.name, uuid: host.uuid };
    const migration = facet(host.implementation, 'migration');
    if (role === 'source') {
      const actor = host.get(domainOf(call));
      const ask = { own, peer, options, sourceName: actor.record.name, signal: call.signal };
      const live = formatDomain(actor.document, { view: 'live', secrets: true, migratable: true });
      const reasons = [
        ...refusalOf(() => mustLeaveNothing(actor)),
        ...refusalOf(() => void definitionFor(actor, options)),
      ];
      if (options.offline) {
        reasons.push(...((await migration.offlineBlockers?.(actor.document, ask)) ?? []));
        return { reasons, document: documentOf(actor, options) ?? live, ...migration.showOffline?.(actor.document) };
      }
      const guest = guestOf(actor);
      reasons.push(...(await migration.blockers(guest, ask)));
      if (options.xml !== undefined) reasons.push(...refusalOf(() => void given(options.xml!, live)));
      return { reasons, document: options.xml ?? live, ...(await migration.show(guest, ask)) };
    }
    const { domain } = parseDomain(document ?? '', { mode: 'inactive', unknown: 'warn' });
    const ask = { own, peer, options, sourceName: domain.name, signal: call.signal, ...shown };
    const other = host.find(domainOf(call)) ?? host.byName(options.name ?? domain.name);
    const taken = other ? [reasonOf('target', nameTaken(host, other))] : [];
    return { reasons: [...taken, ...(await migration.obstacles(domain, ask))] };
  }
}

/** Of a domain that is off; why there is none is among the reasons. */
function documentOf(actor: Actor, options: MigrationOptions): string | undefined {
  try {
    return definitionFor(actor, options);
  } catch {
    return undefined;
  }
}

/** What is thrown is a reason. */
function refusalOf(look: () => void): MigrationReason[] {
  try {
    look();
    return [];
  } catch (error) {
    return [reasonOf('source', error)];
  }
}

function reasonOf(where: MigrationReason['where'], error: unknown): MigrationReason {
  const { code, message } = VirtError.from(error);
  return { where, code, message };
}

function domainOf({ domain }: Call): string {
  if (domain) return domain;
  throw new VirtError('INVALID_ARG', { detail: 'the call names no domain' });
}
