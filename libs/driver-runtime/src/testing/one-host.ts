/** A host of the runtime without its bus: calls go straight to the endpoints, events are read from the journal. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  isVirtError,
  type DomainEvent,
  type DomainSummary,
  type HostStatus,
  type MigrationEnd,
  type Prepared,
} from '@virtbus/shared';
import { encode, newId, type Call, type Endpoint } from '@virtbus/shared/bus';
import { silent } from '@virtbus/shared/log';
import { adopt, autostart } from '../adoption';
import { endpoints } from '../endpoints';
import { DriverHost } from '../host';
import { Migrations } from '../migration';
import type { DomainRecord } from '../record';
import { Store } from '../store';
import { Machines, MemoryDriver, type MemoryGuest, type Step } from './memory-driver';

export const uuid = 'c7a5fdbd-edaf-9455-926a-d65c16db1809';

export interface DocumentOptions {
  name?: string;
  uuid?: string;
  title?: string;
  nvram?: string;
  memoryKiB?: number;
  devices?: string;
}

export function xml(o: DocumentOptions = {}): string {
  return `<domain type='qemu'>
  <name>${o.name ?? 'web1'}</name>
  <uuid>${o.uuid ?? uuid}</uuid>
  ${o.title ? `<title>${o.title}</title>` : ''}
  <memory unit='KiB'>${o.memoryKiB ?? 65_536}</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type>${o.nvram ? `<nvram>${o.nvram}</nvram>` : ''}</os>
  ${o.devices === undefined ? '' : `<devices>${o.devices}</devices>`}
</domain>`;
}

export interface Ask {
  uuid?: string;
  id?: string;
  timeoutMs?: number;
  epoch?: number;
  /** Images for a command that opens some. */
  prepared?: Prepared;
}

export class OneHost implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'vb-host-'));
  readonly machines = new Machines();
  driver!: MemoryDriver;
  host!: DriverHost<MemoryGuest>;
  private served = new Map<string, Endpoint>();

  private constructor(
    readonly name: string,
    private readonly equip: (driver: MemoryDriver) => void,
  ) {}

  /** @param equip gives each of its driver processes what not every test needs */
  static async open(name = 'h1', equip: (driver: MemoryDriver) => void = () => undefined): Promise<OneHost> {
    const one = new OneHost(name, equip);
    await one.start();
    return one;
  }

  /** As the other side of a migration knows it. */
  get end(): MigrationEnd {
    return { host: this.name, driver: this.driver.name };
  }

  /** The driver process ends as by kill -9 and another one starts; `meanwhile` happens while there is none. */
  async restart({ meanwhile, freshBoot = false, prepare }: Restart = {}): Promise<void> {
    this.host.journalOnDisk.close();
    meanwhile?.();
    if (freshBoot) {
      const path = join(this.host.store.folder, 'boot.json');
      writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), bootId: 'before' }));
    }
    await this.start(prepare);
  }

  private async start(prepare?: (driver: MemoryDriver) => void): Promise<void> {
    this.driver = new MemoryDriver(this.machines);
    this.equip(this.driver);
    prepare?.(this.driver);
    const store = new Store(join(this.folder, 'state'), join(this.folder, 'run'));
    this.host = new DriverHost<MemoryGuest>(this.name, this.driver, store, silent);
    const host = this.host as unknown as DriverHost;
    const known = host.load();
    const migrations = this.driver.facets.migration && new Migrations(host);
    migrations?.recall();
    await adopt(host, known);
    await migrations?.takeUp();
    await autostart(host);
    const served = [...endpoints(host, () => ({}) as HostStatus), ...(migrations?.endpoints() ?? [])];
    this.served = new Map(served.map((endpoint) => [endpoint.name, endpoint]));
  }

  async call<T = { domain: DomainSummary }>(operation: string, request: unknown = {}, ask: Ask = {}): Promise<T> {
    const timeoutMs = ask.timeoutMs ?? 5_000;
    const call: Call = {
      id: ask.id ?? newId(),
      domain: ask.uuid ?? uuid,
      epoch: ask.epoch,
      target: undefined,
      timeoutMs,
      deadline: performance.now() + timeoutMs,
      signal: AbortSignal.timeout(timeoutMs),
      log: silent,
      format: 'msgpack',
      body: ask.prepared ? encode({ prepared: ask.prepared }, 'msgpack') : new Uint8Array(),
    };
    return (await this.served.get(operation)!.handler(() => request, call)) as T;
  }

  /** How a call fails: `CODE: text`. */
  async refusal(operation: string, request: unknown = {}, ask: Ask = {}): Promise<string> {
    const error: unknown = await this.call(operation, request, ask).then(
      () => new Error('it was done'),
      (thrown: unknown) => thrown,
    );
    if (!isVirtError(error)) throw error;
    return `${error.code}: ${error.message}`;
  }

  define(o: DocumentOptions = {}, ask: Ask = {}): Promise<{ domain: DomainSummary }> {
    return this.call('define', { xml: xml(o), epoch: 1 }, ask);
  }

  create(o: DocumentOptions = {}, ask: Ask = {}): Promise<{ domain: DomainSummary }> {
    return this.call('create', { xml: xml(o), epoch: 1, paused: false }, ask);
  }

  get guest(): MemoryGuest {
    return this.driver.guests.get(uuid)!;
  }

  state(of = uuid): string {
    const actor = this.host.find(of);
    return actor ? `${actor.record.state}(${actor.record.reason})` : 'absent';
  }

  events(): DomainEvent[] {
    return this.host.journalOnDisk.pending.map(({ event }) => event);
  }

  /** `started(booted) cmd-1`: type, detail and command of each event from `from` on. */
  told(from = 0): string[] {
    return this.events()
      .slice(from)
      .map((event) => {
        const what = event.class === 'lifecycle' ? event.type : `${event.class}.${event.type}`;
        return `${what}${event.detail ? `(${event.detail})` : ''}${event.commandId ? ` ${event.commandId}` : ''}`;
      });
  }

  /** The record as it is on disk. */
  recordOnDisk(): DomainRecord {
    return JSON.parse(readFileSync(join(this.host.store.folderOf(uuid), 'record.json'), 'utf8')) as DomainRecord;
  }

  writeRecord(record: DomainRecord): void {
    this.host.store.saveRecord(record);
  }

  [Symbol.dispose](): void {
    this.host.journalOnDisk.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Restart {
  meanwhile?: () => void;
  freshBoot?: boolean;
  prepare?: (driver: MemoryDriver) => void;
}

/** A promise that a test settles. */
export function gate(): { open: () => void; fail: (error: Error) => void; wait: Promise<void> } {
  let open!: () => void;
  let fail!: (error: Error) => void;
  const wait = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  wait.catch(() => undefined);
  return { open, fail, wait };
}

/** Wait for a state of the world, at most two seconds when nothing else is said. */
export async function until(look: () => boolean | Promise<boolean>, timeoutMs = 2_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`never came true: ${look.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Has the driver stand still before that step. `reached` resolves when it does, and `open` lets it go on. */
export function heldBefore(driver: MemoryDriver, step: Step): { reached: Promise<void>; open: () => void } {
  const { wait, open } = gate();
  const reached = new Promise<void>((resolve) => {
    driver.before.set(step, () => (resolve(), wait));
  });
  return { reached, open };
}
