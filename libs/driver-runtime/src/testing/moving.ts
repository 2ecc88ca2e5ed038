/** A domain on its way from one host of the runtime to another, each step asked as the migration service asks it. */
import { MigrationOptions, type MigrationReason, type MigrationView } from '@virtbus/shared';
import { MemoryMigrations } from './memory-migrations';
import { OneHost, uuid } from './one-host';

const nothing = new Uint8Array();

export class Moving implements Disposable {
  readonly id = 'm1';

  private constructor(
    readonly from: OneHost,
    readonly to: OneHost,
    readonly options: MigrationOptions,
  ) {}

  static async open(options: Partial<MigrationOptions> = {}): Promise<Moving> {
    const hosts = [await OneHost.open('h1', withMigrations), await OneHost.open('h2', withMigrations)] as const;
    return new Moving(...hosts, MigrationOptions.parse({ live: true, ...options }));
  }

  /** Why the source says that it cannot be. */
  async blockers(): Promise<string[]> {
    const ask = { role: 'source', peer: this.to.end, options: this.options };
    const { reasons } = await this.from.call<{ reasons: MigrationReason[] }>('migration-check', ask);
    return reasons.map(({ code, message }) => `${code}: ${message}`);
  }

  begin(): Promise<MigrationView> {
    return this.from.call('migration-begin', { id: this.id, peer: this.to.end, options: this.options });
  }

  /** How the source refuses to begin. */
  refusal(): Promise<string> {
    return this.from.refusal('migration-begin', { id: this.id, peer: this.to.end, options: this.options });
  }

  /** It waits for the guest on its target. */
  async prepared(): Promise<MigrationView> {
    const { id, options } = this;
    const { xml = '', ...begun } = await this.begin();
    const name = options.name ?? 'web1';
    const more = { definition: begun.definition, autostart: begun.autostart, cookie: nothing, recover: false };
    const ask = { id, peer: this.from.end, options, name, epoch: 2, xml, ...more };
    return this.to.call('migration-prepare', ask);
  }

  async performed(): Promise<MigrationView> {
    const { id, options } = this;
    const { uri = '' } = await this.prepared();
    return this.from.call('migration-perform', { id, options, uri, cookie: nothing, recover: false });
  }

  /** @param more what has been changed since it was begun */
  finish(more: { downtimeMs?: number } = {}): Promise<MigrationView> {
    return this.to.call('migration-finish', { id: this.id, cookie: nothing, ...more });
  }

  confirm(): Promise<MigrationView> {
    return this.from.call('migration-confirm', { id: this.id, cookie: nothing });
  }

  async undo(): Promise<void> {
    const { id } = this;
    await this.to.call('migration-undo', { id, role: 'target', targetUndone: false });
    await this.from.call('migration-undo', { id, role: 'source', targetUndone: true });
  }

  /** Disks whose images the domain holds on its source. */
  async held(): Promise<string[]> {
    const request = { afresh: false, revoke: [] };
    const { uses } = await this.from.call<{ uses: { target?: string }[] }>('storage', request, { uuid });
    return uses.flatMap(({ target }) => target ?? []);
  }

  [Symbol.dispose](): void {
    this.from[Symbol.dispose]();
    this.to[Symbol.dispose]();
  }
}

function withMigrations(driver: OneHost['driver']): void {
  driver.facets.migration = new MemoryMigrations(driver);
}
