/** The LXC driver: what this machine can run, and the facets that containers can do. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { prepareLxcDomain, type Domain } from '@virtbus/domain-xml';
import {
  readHostInfo,
  type Driver,
  type Facets,
  type HostInfo,
  type Reattached,
  type ReattachSpec,
  type StartSpec,
} from '@virtbus/driver-runtime';
import { VirtError } from '@virtbus/shared';
import { makeFolder } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import { bootContainer, type ContainerHost } from './boot';
import { domainCapabilities, hostCapabilities } from './capabilities';
import { console } from './facets/console';
import { devicesFacet } from './facets/devices';
import { execFacet } from './facets/exec';
import { explainFacet } from './facets/explain';
import { memoryFacet } from './facets/memory';
import { nativeFacet } from './facets/native';
import { power } from './facets/power';
import { stats } from './facets/stats';
import { tuningFacet } from './facets/tuning';
import type { LxcGuest } from './guest';
import { probeMachine, type Machine } from './machine';
import { reattachContainer } from './reattach';
import { seccompPolicy } from './seccomp';

export interface LxcDriverOptions {
  /** Folder for the driver's own files. */
  folder: string;
  /** `START:COUNT`, `none`, or undefined for what /etc/subuid says. */
  subIds: string | undefined;
  log: Log;
}

export class LxcDriver implements Driver<LxcGuest> {
  readonly name = 'lxc';
  readonly virtTypes = ['lxc'];
  readonly facets: Facets<LxcGuest>;
  /** The containers that run, by their domain's uuid. */
  private readonly guests = new Map<string, LxcGuest>();
  private readonly host: ContainerHost;

  private constructor(
    private readonly machine: Machine,
    private readonly info: HostInfo,
    seccomp: string,
  ) {
    this.facets = {
      console,
      devices: devicesFacet(machine),
      exec: execFacet(machine.capabilities.emulator),
      explain: explainFacet(machine),
      memory: memoryFacet(machine),
      native: nativeFacet(machine),
      power,
      stats,
      tuning: tuningFacet(machine),
    };
    this.host = { machine, seccomp, initPid: (domain) => this.initPid(domain) };
  }

  /** Throws `OPERATION_UNSUPPORTED` with the reason when this machine cannot run containers. */
  static async open({ folder, subIds, log }: LxcDriverOptions): Promise<LxcDriver> {
    const machine = probeMachine(subIds);
    makeFolder(folder, 0o700);
    const seccomp = join(folder, 'seccomp');
    writeFileSync(seccomp, seccompPolicy, { mode: 0o600 });
    const { version, capabilities } = machine;
    log.info({ lxc: version, cgroups: capabilities.cgroups, subIds: machine.subIds ?? 'none' }, 'machine probed');
    return new LxcDriver(machine, await readHostInfo(), seccomp);
  }

  get hypervisorVersion(): string {
    return this.machine.version;
  }

  get arches(): readonly string[] {
    return this.machine.capabilities.arches;
  }

  prepare(domain: Domain, { before }: { before?: Domain | undefined }): { domain: Domain; warnings: string[] } {
    const options = { newDefinition: before === undefined };
    return { domain: prepareLxcDomain(domain, this.machine.capabilities, options), warnings: warningsOf(domain) };
  }

  expectStart(): void {
    void this.machine.cgroups.expectMoves();
  }

  async start(spec: StartSpec): Promise<LxcGuest> {
    if (spec.restore) throw new VirtError('UNSUPPORTED_BY_DRIVER', { driver: this.name, operation: 'restore' });
    return this.keep(spec.uuid, await bootContainer(spec, this.host));
  }

  async reattach(spec: ReattachSpec): Promise<Reattached<LxcGuest>> {
    const found = await reattachContainer(spec, this.machine);
    if (found.kind === 'alive') this.keep(spec.uuid, found.guest);
    return found;
  }

  hostCapabilities(): { xml: string; document: unknown } {
    return hostCapabilities(this.info, this.machine.capabilities);
  }

  domainCapabilities(ask: Parameters<Driver['domainCapabilities']>[0]): { xml: string; document: unknown } {
    return domainCapabilities(this.machine.capabilities, ask);
  }

  private keep(uuid: string, guest: LxcGuest): LxcGuest {
    this.guests.set(uuid, guest);
    void guest.ended.then(() => {
      if (this.guests.get(uuid) === guest) this.guests.delete(uuid);
    });
    return guest;
  }

  private initPid(domain: string): number | undefined {
    return [...this.guests.values()].find(({ live }) => live.name === domain)?.initPid;
  }
}

/** What a document wishes for that no container gets, and that does no harm. */
function warningsOf({ on_crash }: Domain): string[] {
  if (on_crash === undefined || on_crash === 'destroy') return [];
  return [`<on_crash> '${on_crash}' is not followed: a container whose init was killed has stopped`];
}
