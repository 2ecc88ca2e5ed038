/** A host without a hypervisor: it keeps definitions and states in a table, journals events and answers each id once. */
import { mkdirSync } from 'node:fs';
import {
  destroyDomain,
  driverAnswer,
  driverCreate,
  driverDefine,
  driverGet,
  driverInspectSave,
  driverInventory,
  driverRename,
  driverRestore,
  driverStats,
  driverStorage,
  getDomainXml,
  hostCapabilities,
  startDomain,
  statSubject,
  undefineDomain,
  VirtError,
  type DomainSummary,
  type HostStatus,
} from '@virtbus/shared';
import {
  driverEndpoint,
  encode,
  EventPublisher,
  Journal,
  newId,
  serve,
  type Bus,
  type Call,
  type Endpoint,
} from '@virtbus/shared/bus';
import { silent } from '@virtbus/shared/log';

export interface HostOptions {
  freeMemoryKiB?: number;
  virtTypes?: string[];
  labels?: Record<string, string>;
  driver?: string;
  hostUuid?: string;
  facets?: string[];
}

export class SimulatedHost {
  readonly domains = new Map<string, DomainSummary>();
  readonly gone = new Map<string, DomainSummary>();
  /** Each application of a command: what no repeated id may add to. */
  readonly applied: { operation: string; uuid: string; id: string }[] = [];
  /** Commands that have come, done or not. */
  readonly heard: string[] = [];
  /** What is done with a command waits for this. */
  gate: Promise<void> = Promise.resolve();
  /** Thrown at the next definition. */
  refuse: VirtError | undefined;
  readonly saves = new Map<string, string>();
  private readonly answers = new Map<string, Promise<unknown>>();
  private readonly documents = new Map<string, string>();
  private readonly journal: Journal;
  private readonly publisher: EventPublisher;
  private readonly startedAt = new Date().toISOString();
  private inventory = 1;
  private timer: NodeJS.Timeout | undefined;
  private nextId = 1;
  readonly driver: string;

  constructor(
    readonly bus: Bus,
    readonly name: string,
    private readonly options: HostOptions,
    folder: string,
  ) {
    mkdirSync(folder, { recursive: true });
    this.driver = options.driver ?? 'test';
    this.journal = Journal.open(folder);
    this.publisher = new EventPublisher(bus, this.journal, silent);
  }

  async start(): Promise<void> {
    const service = { name: 'virtbus-driver-test', version: '0.0.1', description: 'simulated' };
    await serve(this.bus, { ...service, queue: `${this.name}-${this.driver}` }, this.endpoints(), silent);
    this.publisher.start();
    this.timer = setInterval(() => this.beat(), 500);
    this.bus.onReconnect(() => this.beat());
    this.beat();
  }

  /** How many have not ended here. */
  openMigrations = (): number => 0;

  async stop(): Promise<void> {
    clearInterval(this.timer);
    if (!this.bus.nc.isClosed()) await this.bus.close();
    await Promise.race([this.publisher.stop(), new Promise((done) => setTimeout(done, 500).unref())]);
  }

  get status(): HostStatus {
    const migrations = this.openMigrations();
    return {
      ...(migrations > 0 && { migrations }),
      host: this.name,
      hostUuid: this.options.hostUuid ?? '00000000-0000-4000-8000-000000000001',
      driver: this.driver,
      virtTypes: this.options.virtTypes ?? ['qemu'],
      arches: ['x86_64'],
      nativeFormats: [],
      facets: this.options.facets ?? [],
      labels: this.options.labels ?? {},
      version: '0.0.1',
      hypervisorVersion: '0',
      startedAt: this.startedAt,
      time: new Date().toISOString(),
      cpus: 4,
      load: [0, 0, 0],
      memoryKiB: 16_777_216,
      freeMemoryKiB: this.options.freeMemoryKiB ?? 8_388_608,
      domains: this.domains.size,
      active: [...this.domains.values()].filter(({ state }) => state === 'running').length,
      inventory: this.inventory,
      journal: this.journal.pending.length,
    };
  }

  /** Change a domain as if the guest had done it, and tell the event. */
  happen(uuid: string, change: Partial<DomainSummary>, type: string, detail: string, call?: Call): DomainSummary {
    const domain = { ...this.domains.get(uuid)!, ...change };
    domain.revision++;
    if (!domain.persistent && domain.state === 'shutoff') {
      this.domains.delete(uuid);
      this.gone.set(uuid, domain);
    } else this.domains.set(uuid, domain);
    this.inventory++;
    this.journal.append({
      id: newId(),
      class: 'lifecycle',
      type,
      detail,
      time: new Date().toISOString(),
      host: this.name,
      commandId: call?.id,
      domain,
    });
    this.publisher.kick();
    return domain;
  }

  /** A domain that was here before anybody asked. */
  plant(domain: Partial<DomainSummary> & { uuid: string; name: string }): void {
    this.domains.set(domain.uuid, { ...this.fresh(domain.uuid, domain.name, 1), revision: 1, ...domain });
    this.inventory++;
  }

  private endpoints(): Endpoint[] {
    const at = { host: this.name, driver: this.driver };
    return [
      driverEndpoint(at, driverInventory, async () => ({
        status: this.status,
        domains: [...this.domains.values()],
        gone: [...this.gone.values()].map(({ uuid, epoch, revision }) => ({ uuid, epoch, revision })),
      })),
      driverEndpoint(at, driverDefine, ({ xml, epoch }, call) =>
        this.once('define', call.domain!, call, () => {
          const added = !this.domains.has(call.domain!);
          this.arrive(call.domain!, xml, epoch, true);
          const domain = this.happen(call.domain!, { persistent: true }, 'defined', added ? 'added' : 'updated', call);
          return { domain, warnings: [] };
        }),
      ),
      driverEndpoint(at, driverCreate, ({ xml, epoch }, call) =>
        this.once('create', call.domain!, call, () => {
          this.arrive(call.domain!, xml, epoch, false);
          return { domain: this.run(call.domain!, call), warnings: [] };
        }),
      ),
      driverEndpoint(at, driverRename, ({ name }, call) =>
        this.once('rename', call.domain!, call, () => {
          if (this.get(call).state === 'running') {
            throw new VirtError('OPERATION_INVALID', { detail: 'cannot rename active domain' });
          }
          this.happen(call.domain!, {}, 'undefined', 'renamed', call);
          return { domain: this.happen(call.domain!, { name }, 'defined', 'renamed', call) };
        }),
      ),
      driverEndpoint(at, driverInspectSave, async ({ path }) => {
        const xml = this.saves.get(path);
        if (!xml) throw new VirtError('OPERATION_FAILED', { detail: `no such file: ${path}` });
        return { uuid: uuidOf(xml), name: nameOf(xml), xml };
      }),
      driverEndpoint(at, driverRestore, ({ path, epoch }, call) => {
        const xml = this.saves.get(path)!;
        return this.once('restore', uuidOf(xml), call, () => {
          this.arrive(uuidOf(xml), xml, epoch, false);
          return { domain: this.run(uuidOf(xml), call) };
        });
      }),
      driverEndpoint(at, driverStorage, async (_request, call) => {
        const { name, epoch, revision, state } = this.get(call);
        const nothing = { definition: [], live: [], uses: [] };
        return { known: true, since: 0, name, epoch, revision, active: state === 'running', ...nothing };
      }),
      driverEndpoint(at, driverAnswer, async ({ command }) => ({
        state: this.applied.some(({ id }) => id === command) ? 'answered' : 'unknown',
      })),
      driverEndpoint(at, driverGet, async (_request, call) => ({ domain: this.get(call) })),
      driverEndpoint(at, driverStats, async ({ domains }) => ({
        stats: [...this.domains.values()]
          .filter(({ uuid, state }) => (domains ? domains.includes(uuid) : state === 'running'))
          .map(({ uuid, name, state, reason }) => ({ uuid, name, state: { state, reason } })),
      })),
      driverEndpoint(at, hostCapabilities, async () => ({ xml: `<capabilities host='${this.name}'/>` })),
      driverEndpoint(at, getDomainXml, async (_request, call) => ({ xml: this.documents.get(this.get(call).uuid) })),
      driverEndpoint(at, startDomain, (_request, call) =>
        this.once('start', call.domain!, call, () => {
          if (this.get(call).state === 'running') {
            throw new VirtError('OPERATION_INVALID', { detail: 'domain is already running' });
          }
          return { domain: this.run(call.domain!, call) };
        }),
      ),
      driverEndpoint(at, destroyDomain, (_request, call) =>
        this.once('destroy', call.domain!, call, () => {
          if (this.get(call).state !== 'running') {
            throw new VirtError('OPERATION_INVALID', { detail: 'domain is not running' });
          }
          const off = { state: 'shutoff', reason: 'destroyed', id: -1 } as const;
          return { domain: this.happen(call.domain!, off, 'stopped', 'destroyed', call) };
        }),
      ),
      driverEndpoint(at, undefineDomain, (_request, call) =>
        this.once('undefine', call.domain!, call, () => {
          this.get(call);
          return { domain: this.happen(call.domain!, { persistent: false }, 'undefined', 'removed', call) };
        }),
      ),
    ];
  }

  private beat(): void {
    if (!this.bus.nc.isClosed()) this.bus.nc.publish(statSubject(this.name), encode(this.status, 'json'));
  }

  private once<T>(operation: string, uuid: string, call: Call, apply: () => T): Promise<T> {
    const known = this.answers.get(call.id);
    if (known) return known as Promise<T>;
    this.heard.push(call.id);
    const answer = this.gate.then(() => {
      if (this.refuse) {
        const error = this.refuse;
        this.refuse = undefined;
        throw error;
      }
      const result = apply();
      this.applied.push({ operation, uuid, id: call.id });
      return result;
    });
    this.answers.set(call.id, answer);
    answer.catch(() => undefined);
    return answer;
  }

  private get(call: Call): DomainSummary {
    const domain = this.domains.get(call.domain ?? '');
    if (!domain) throw new VirtError('DOMAIN_NOT_FOUND', { domain: call.domain ?? '' });
    return domain;
  }

  private run(uuid: string, call: Call): DomainSummary {
    return this.happen(uuid, { state: 'running', reason: 'booted', id: this.nextId++ }, 'started', 'booted', call);
  }

  private arrive(uuid: string, xml: string, epoch: number, persistent: boolean): void {
    // As a driver keeps it: with the uuid that the call is about.
    this.documents.set(uuid, xml.includes('<uuid>') ? xml : xml.replace('</name>', `</name><uuid>${uuid}</uuid>`));
    if (this.domains.has(uuid)) return;
    const former = this.gone.get(uuid);
    this.gone.delete(uuid);
    const fresh = this.fresh(uuid, nameOf(xml), epoch);
    this.domains.set(uuid, { ...fresh, persistent, revision: former?.revision ?? 0 });
  }

  private fresh(uuid: string, name: string, epoch: number): DomainSummary {
    return {
      uuid,
      name,
      host: this.name,
      driver: this.driver,
      epoch,
      revision: 0,
      id: -1,
      state: 'shutoff',
      reason: 'unknown',
      persistent: true,
      updated: false,
      autostart: false,
      managedSave: false,
      memoryKiB: 131_072,
      maxMemoryKiB: 131_072,
      vcpus: 1,
      maxVcpus: 1,
      osType: 'hvm',
      arch: 'x86_64',
      virtType: 'qemu',
    };
  }
}

const between = (xml: string, tag: string): string => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)![1]!;
const uuidOf = (xml: string): string => between(xml, 'uuid');
const nameOf = (xml: string): string => between(xml, 'name');
