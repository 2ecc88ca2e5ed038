/**
 * What a simulated host does in a migration: it keeps to the rules of `contracts/migration-host.ts`, moves a line in a table,
 * and can be told to hang, to fail and to forget what it was doing.
 */
import {
  migrationBegin,
  migrationCheck,
  migrationConfirm,
  migrationFinish,
  migrationLimits,
  MigrationOptions,
  migrationOpen,
  migrationPerform,
  migrationPostcopy,
  migrationPrepare,
  migrationStatus,
  migrationUndo,
  VirtError,
  type DomainSummary,
  type MigrationEnd,
  type MigrationReason,
  type OpenMigration,
  type MigrationView,
} from '@virtbus/shared';
import { driverEndpoint, serve, type Endpoint } from '@virtbus/shared/bus';
import { silent } from '@virtbus/shared/log';
import type { SimulatedHost } from './domain-service-host';

type Step = 'begin' | 'prepare' | 'perform' | 'postcopy' | 'finish' | 'confirm' | 'undo';

/** Without images. */
const document = "<domain type='qemu'><name>web1</name><memory>1024</memory><os><type>hvm</type></os></domain>";

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const cookie = (of: string): Buffer<ArrayBuffer> => Buffer.from(`${of}\0`);

export class MigratingHost {
  /** By migration. */
  readonly views = new Map<string, MigrationView>();
  /** Every call that came, in order. */
  readonly calls: string[] = [];
  /** How often it was asked how far a migration is. */
  looks = 0;
  reasons: MigrationReason[] = [];
  /** It does not say how far a migration is. */
  hangs = false;
  /** Thrown by a step. */
  readonly refuses = new Map<Step, VirtError>();
  private readonly holds = new Map<Step, { promise: Promise<void>; release: () => void }>();
  private readonly domains = new Map<string, DomainSummary>();
  /** Of those that began here, as sources. */
  private readonly peers = new Map<string, MigrationEnd>();

  private constructor(private readonly host: SimulatedHost) {}

  static async at(host: SimulatedHost): Promise<MigratingHost> {
    const migrating = new MigratingHost(host);
    host.openMigrations = () => migrating.open().length;
    const service = { name: 'virtbus-driver-test', version: '0.0.1', description: 'simulated migration' };
    await serve(host.bus, { ...service, queue: `${host.name}-migration` }, migrating.endpoints(), silent);
    return migrating;
  }

  /** From now on the step waits before it does anything. */
  hold(step: Step): void {
    let release = (): void => undefined;
    const promise = new Promise<void>((resolve) => (release = resolve));
    this.holds.set(step, { promise, release });
  }

  /** All go on. */
  release(): void {
    for (const { release } of this.holds.values()) release();
    this.holds.clear();
  }

  private endpoints(): Endpoint[] {
    const at = { host: this.host.name, driver: this.host.driver };
    return [
      driverEndpoint(at, migrationCheck, async ({ role }) => ({
        reasons: this.reasons,
        ...(role === 'source' && { document }),
      })),
      driverEndpoint(at, migrationOpen, async () => ({ migrations: this.open() })),
      driverEndpoint(at, migrationLimits, async ({ id }) => this.view(id)),
      driverEndpoint(at, migrationPostcopy, ({ id }) => this.step('postcopy', id, [], () => this.view(id))),
      driverEndpoint(at, migrationStatus, async ({ id }) => {
        this.looks += 1;
        if (this.hangs) await new Promise(() => undefined);
        return this.view(id);
      }),
      driverEndpoint(at, migrationBegin, ({ id, peer }, { domain }) =>
        this.step('begin', id, ['absent'], () => {
          this.peers.set(id, peer);
          this.domains.set(id, this.host.domains.get(domain!)!);
          return { phase: 'begun', cookie: cookie('A'), xml: document };
        }),
      ),
      driverEndpoint(at, migrationPrepare, ({ id, cookie: given, epoch, name }, { domain }) =>
        this.step('prepare', id, ['absent'], () => {
          if (text(given) !== 'A\0') throw new VirtError('COOKIE_INVALID', { detail: `cookie ${text(given)}` });
          this.domains.set(id, { uuid: domain!, name, epoch } as DomainSummary);
          return { phase: 'prepared', cookie: cookie('B'), uri: 'tcp:127.0.0.1:49152' };
        }),
      ),
      driverEndpoint(at, migrationPerform, async ({ id, uri, cookie: given }) => {
        if (this.view(id).phase === 'begun') this.views.set(id, { phase: 'performing', progress: { elapsedMs: 5 } });
        return this.step('perform', id, ['performing'], () => {
          const arrived = uri === 'tcp:127.0.0.1:49152' && text(given) === 'B\0';
          return arrived ? { phase: 'performed', cookie: cookie('C') } : { phase: 'undone' };
        });
      }),
      driverEndpoint(at, migrationFinish, ({ id, cookie: given }) =>
        this.step('finish', id, ['prepared'], () => {
          if (text(given) !== 'C\0') return { phase: 'undone' };
          this.run(this.domains.get(id)!);
          return { phase: 'finished', memory: 'whole', cookie: cookie('D') };
        }),
      ),
      driverEndpoint(at, migrationConfirm, ({ id }) =>
        this.step('confirm', id, ['performed'], () => {
          this.leave(this.domains.get(id)!.uuid);
          return { phase: 'confirmed' };
        }),
      ),
      driverEndpoint(at, migrationUndo, ({ id, role, targetUndone }) => {
        const from: MigrationView['phase'][] =
          role === 'target'
            ? ['absent', 'prepared']
            : ['absent', 'begun', 'performing', ...(targetUndone ? ['performed' as const] : [])];
        return this.step('undo', id, from, () => ({ phase: 'undone' }));
      }),
    ];
  }

  /** What has not ended, as source; the heartbeat tells of it, too. */
  private open(): OpenMigration[] {
    const options = MigrationOptions.parse({ live: true });
    return [...this.peers].flatMap(([id, peer]) => {
      const { uuid, name, epoch } = this.domains.get(id)!;
      if (!['begun', 'performing', 'performed'].includes(this.view(id).phase)) return [];
      return [{ id, role: 'source' as const, domain: uuid, name, epoch, peer, options }];
    });
  }

  private view(id: string): MigrationView {
    return this.views.get(id) ?? { phase: 'absent' };
  }

  private async step(
    step: Step,
    id: string,
    from: readonly MigrationView['phase'][],
    become: () => MigrationView,
  ): Promise<MigrationView> {
    this.calls.push(step);
    await this.holds.get(step)?.promise;
    const refusal = this.refuses.get(step);
    if (refusal) throw refusal;
    if (from.includes(this.view(id).phase)) this.views.set(id, become());
    return this.view(id);
  }

  private run({ uuid, name, epoch }: DomainSummary): void {
    this.host.plant({ uuid, name, epoch });
    this.host.happen(uuid, { state: 'running', reason: 'migrated', id: 7 }, 'resumed', 'migrated');
  }

  private leave(uuid: string): void {
    this.host.happen(uuid, { state: 'shutoff', reason: 'migrated', id: -1, persistent: false }, 'stopped', 'migrated');
  }
}
