/** The LXC driver: what this machine can run, and the facets that containers can do. */
import { join } from 'node:path';
import { copyModel, prepareLxcDomain, type Domain } from '@virtbus/domain-xml';
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
import { makeFolder, readReplaced, replaceFile } from '@virtbus/shared/files';
import type { Log } from '@virtbus/shared/log';
import { betweenBoots } from './between-boots';
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
import { GivenFolders } from './given-folders';
import type { LxcGuest } from './guest';
import { mapIds } from './live';
import { probeMachine, type Machine, type MachineOptions } from './machine';
import { warningOfReach } from './reached-root';
import { reattachContainer } from './reattach';
import { rootAgain } from './root';
import { seccompPolicy } from './seccomp';

export interface LxcDriverOptions extends MachineOptions {
  /** Folder for the driver's own files. */
  folder: string;
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
    files: Pick<ContainerHost, 'seccomp' | 'rootAgain' | 'betweenBoots' | 'given'>,
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
    this.host = { machine, ...files, initPid: (domain) => this.initPid(domain) };
  }

  /** Throws `OPERATION_UNSUPPORTED` with the reason when this machine cannot run containers. */
  static async open({ folder, log, ...options }: LxcDriverOptions): Promise<LxcDriver> {
    const machine = probeMachine(options);
    makeFolder(folder, 0o700);
    const files = {
      seccomp: join(folder, 'seccomp'),
      rootAgain: join(folder, 'root-again'),
      betweenBoots: join(folder, 'between-boots'),
    };
    keepFile(files.seccomp, seccompPolicy);
    keepFile(files.rootAgain, rootAgain);
    keepFile(files.betweenBoots, betweenBoots);
    const { version, capabilities } = machine;
    log.info({ lxc: version, cgroups: capabilities.cgroups, subIds: machine.subIds ?? 'none' }, 'machine probed');
    const given = new GivenFolders(join(folder, 'given-folders.json'), log);
    return new LxcDriver(machine, await readHostInfo(), { ...files, given });
  }

  get hypervisorVersion(): string {
    return this.machine.version;
  }

  get arches(): readonly string[] {
    return this.machine.capabilities.arches;
  }

  prepare(domain: Domain, { before }: { before?: Domain | undefined }): { domain: Domain; warnings: string[] } {
    const options = { newDefinition: before === undefined };
    const prepared = prepareLxcDomain(domain, this.machine.capabilities, options);
    return { domain: prepared, warnings: [...warningsOf(domain), ...this.warningsOfRoot(prepared)] };
  }

  expectStart(): void {
    void this.machine.cgroups.expectMoves();
  }

  async start(spec: StartSpec): Promise<LxcGuest> {
    if (spec.restore) throw new VirtError('UNSUPPORTED_BY_DRIVER', { driver: this.name, operation: 'restore' });
    return this.keep(spec.uuid, await bootContainer(spec, this.host));
  }

  async reattach(spec: ReattachSpec): Promise<Reattached<LxcGuest>> {
    const found = await reattachContainer(spec, this.machine, this.host.given);
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

  private warningsOfRoot(prepared: Domain): string[] {
    const live = copyModel(prepared);
    mapIds(live, this.machine.subIds);
    const warning = warningOfReach(live);
    return warning === undefined ? [] : [warning];
  }

  private initPid(domain: string): number | undefined {
    return [...this.guests.values()].find(({ live }) => live.name === domain)?.initPid;
  }
}

/**
 * Whole at every moment: containers that an earlier process of ours has started read it as they boot again. One that is there already
 * is left alone, so that a driver comes back also where nothing can be written.
 */
function keepFile(path: string, text: string): void {
  if (readReplaced(path) !== text) replaceFile(path, text, true);
}

/** What a document wishes for that no container gets, and that does no harm. */
function warningsOf({ on_crash, on_reboot, resource }: Domain): string[] {
  const warnings: string[] = [];
  if (on_crash !== undefined && on_crash !== 'destroy') {
    warnings.push(`<on_crash> '${on_crash}' is not followed: a container whose init was killed has stopped`);
  }
  if (on_reboot !== undefined && on_reboot !== 'destroy' && on_reboot !== 'restart') {
    warnings.push(`<on_reboot> '${on_reboot}' is not followed: a container that reboots boots again`);
  }
  const { partition } = resource ?? {};
  // Every document that libvirt shows names its own one.
  if (partition !== undefined && partition !== '/machine') {
    warnings.push(
      `<partition> '${partition}' is not followed: each container has a cgroup of its own below 'virtbus-lxc'`,
    );
  }
  return warnings;
}
