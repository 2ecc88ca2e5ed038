/** What both sides of a migration share: their record, the view of it, and steps that run once at a time. */
import { VirtError, type MigrationRole, type MigrationView } from '@virtbus/shared';
import type { Actor } from '../actor';
import type { Cause } from '../telling';
import { facet } from '../driver';
import type { DriverHost } from '../host';
import type { MigrationBook, MigrationRecord } from './book';
import type { MigrationAsk, MigrationFacet } from './facet';
import type { Guest } from '../driver';

/** Calls of one migration that are being done: the same call again joins. */
export class Steps {
  private readonly running = new Map<string, Promise<MigrationView>>();

  once(step: string, run: () => Promise<MigrationView>): Promise<MigrationView> {
    const under = this.running.get(step);
    if (under) return under;
    const work = run().finally(() => this.running.delete(step));
    this.running.set(step, work);
    return work;
  }

  isRunning(step: string): boolean {
    return this.running.has(step);
  }

  /** What is being done now, if anything: resolves when it has ended, however. */
  async settled(step: string): Promise<void> {
    await this.running.get(step)?.catch(() => undefined);
  }
}

export abstract class MigrationSide {
  protected readonly steps = new Steps();
  /** Keeps others off the domain while it moves. */
  protected readonly held = new Map<string, Disposable>();

  constructor(
    protected readonly host: DriverHost,
    protected readonly book: MigrationBook,
    private readonly role: MigrationRole,
  ) {}

  protected get facet(): MigrationFacet<Guest> {
    return facet(this.host.implementation, 'migration');
  }

  protected find(id: string): MigrationRecord | undefined {
    return this.book.find(id, this.role);
  }

  protected actorOf(record: MigrationRecord): Actor | undefined {
    return this.host.find(record.domain);
  }

  protected ask(record: MigrationRecord, signal: AbortSignal): MigrationAsk {
    const { id, peer, options, sourceName } = record;
    if (!peer || !options || sourceName === undefined) {
      throw new VirtError('INTERNAL_ERROR', { detail: `migration ${id} has no description on this host` });
    }
    const { name, uuid } = this.host;
    return { id, peer, options, sourceName, own: { host: name, uuid }, signal };
  }

  protected absent(): MigrationView {
    return { phase: 'absent' };
  }

  /** It never began here, and never will. */
  protected neverHere(id: string, domain: string): MigrationView {
    this.book.keep({ version: 1, id, role: this.role, domain, phase: 'undone', changed: 0 });
    return { phase: 'undone' };
  }

  protected undone(record: MigrationRecord, error?: unknown): void {
    record.phase = 'undone';
    if (error !== undefined) record.error = VirtError.from(error).toBody();
    this.book.keep(record);
    this.letGo(record);
  }

  protected letGo({ id }: MigrationRecord): void {
    this.held.get(id)?.[Symbol.dispose]();
    this.held.delete(id);
  }

  protected view(record: MigrationRecord): MigrationView {
    const { phase, cookie, xml, definition, autostart, copies, uri, postcopy, memory, lost, error } = record;
    const actor = this.actorOf(record);
    return {
      phase,
      ...(cookie === undefined ? {} : { cookie: new Uint8Array(Buffer.from(cookie, 'base64')) }),
      ...(phase === 'begun' && { xml, definition, autostart, copies }),
      ...(phase === 'prepared' && { uri }),
      ...(phase === 'performed' && actor && { revision: actor.record.revision }),
      ...(phase === 'performed' && postcopy && { postcopy }),
      ...(memory === undefined ? {} : { memory }),
      ...(lost && { lost }),
      ...(actor ? { guest: actor.state } : {}),
      ...(error ? { error } : {}),
    };
  }
}

export const kept = (cookie: Uint8Array): string => Buffer.from(cookie).toString('base64');

/** What its events tell as their command. */
export const causeOf = ({ id }: MigrationRecord): Cause => ({ id, operation: 'migrate' });
