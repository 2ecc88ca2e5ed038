/** The QEMU driver: which binaries this host has, which one a domain runs on, and the facets that QEMU can do. */
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import {
  explainDomain,
  prepareDomain,
  supportsDomainType,
  taintsOf,
  type Device,
  type Domain,
  type PrepareOptions,
  type QemuCapabilities,
} from '@virtbus/domain-xml';
import {
  readHostInfo,
  type Driver,
  type Facets,
  type HostInfo,
  type ReattachSpec,
  type StartSpec,
} from '@virtbus/driver-runtime';
import { VirtError, type TaintType } from '@virtbus/shared';
import type { Log } from '@virtbus/shared/log';
import { jobKinds } from './block-jobs';
import { bootGuest, type BootHost } from './boot';
import {
  CapabilityStore,
  domainCapabilities,
  domainCapabilitiesXml,
  hostCapabilities,
  hostCapabilitiesXml,
  UnusableEmulator,
} from './capabilities';
import { agent } from './facets/agent';
import { backupFacet } from './facets/backup';
import { blockJobsFacet } from './facets/block-jobs';
import { checkpointsFacet } from './facets/checkpoints';
import { console } from './facets/console';
import { cpuFacet } from './facets/cpu';
import { departed, devicesFacet, type DeviceHost } from './facets/devices';
import { settleDevices } from './facets/settle-devices';
import { disksFacet } from './facets/disks';
import { images } from './facets/images';
import { keyboard } from './facets/keyboard';
import { memory } from './facets/memory';
import { migrationFacet } from './facets/migration';
import { monitor } from './facets/monitor';
import { nativeFacet } from './facets/native';
import { power, reset } from './facets/power';
import { saveFacet } from './facets/save';
import { screenshot } from './facets/screenshot';
import { snapshotsFacet } from './facets/snapshots';
import { stats } from './facets/stats';
import { vcpus } from './facets/vcpus';
import { installedFirmware } from './firmware';
import type { QemuGuest } from './guest';
import type { GuestCgroup } from './guest-cgroup';
import { MigrationPorts, type PortRange } from './migration/ports';
import { reattachGuest } from './reattach';
import type { RunUser } from './run-user';
import { loadInternal } from './snapshots/internal';
import { UsbClaims } from './usb-claims';

export interface QemuDriverOptions {
  /** Folder for the cache of capabilities. */
  cache: string;
  /** Folder for the variables of guests' firmware. */
  nvram: string;
  /** Folder with the run-time folders of guests. */
  run: string;
  /** Binaries to use; those on the path when left out. */
  emulators?: readonly string[] | undefined;
  user: RunUser | undefined;
  sandbox: boolean;
  cgroup: GuestCgroup | undefined;
  /** Folder of the certificates of pulls that ask for TLS. */
  backupCertificates: string;
  migration: { address: string | undefined; ports: PortRange; sharedFolders: readonly string[]; silenceMs: number };
  log: Log;
}

type DomainCapabilitiesAsk = Parameters<Driver['domainCapabilities']>[0];

export class QemuDriver implements Driver<QemuGuest> {
  readonly name = 'qemu';
  readonly facets: Facets<QemuGuest>;

  private readonly deviceHost: DeviceHost;
  private readonly bootHost: Omit<BootHost, 'capabilities'>;

  private constructor(
    private readonly emulators: readonly QemuCapabilities[],
    private readonly info: HostInfo,
    private readonly options: QemuDriverOptions,
  ) {
    const usb = new UsbClaims();
    this.deviceHost = { ...options, usb, capabilitiesOf: (guest) => this.capabilitiesFor(guest.live) };
    const { user, sandbox, cgroup } = options;
    this.bootHost = {
      ...{ user, sandbox, cgroup, usb, departed: this.departed },
      ...{ settleDevices: this.settleDevices, jobKinds: jobKinds(this.deviceHost) },
      load: (guest, snapshot, signal) => loadInternal(this.deviceHost, guest, snapshot, signal),
    };
    this.facets = {
      agent,
      backup: backupFacet({ ...this.deviceHost, backupCertificates: options.backupCertificates }),
      blockJobs: blockJobsFacet(this.deviceHost),
      checkpoints: checkpointsFacet(this.deviceHost),
      console,
      cpu: cpuFacet((ask) => this.chooseType(ask)),
      devices: devicesFacet(this.deviceHost),
      disks: disksFacet(this.deviceHost),
      images,
      explain: {
        explain: (xml) => explainDomain(xml, (domain) => this.capabilitiesFor(domain), this.preparation(true)),
      },
      keyboard,
      memory,
      migration: migrationFacet({
        ...options.migration,
        ports: new MigrationPorts(options.migration.ports),
        prepare: (domain) => void this.prepare(domain, {}),
        capabilitiesOf: (domain) => this.capabilitiesFor(domain),
        boot: this.bootHost,
      }),
      monitor,
      native: nativeFacet({
        ...options,
        prepare: (domain) => this.prepare(domain, {}).domain,
        capabilitiesOf: (domain) => this.capabilitiesFor(domain),
      }),
      power,
      reset,
      save: saveFacet(options.user),
      screenshot,
      snapshots: snapshotsFacet(this.deviceHost),
      stats,
      vcpus,
    };
  }

  /** Probe the binaries of this host. Throws when there is none that works. */
  static async open(options: QemuDriverOptions): Promise<QemuDriver> {
    const store = new CapabilityStore(options.cache);
    const usable: QemuCapabilities[] = [];
    for (const path of options.emulators ?? onPath()) {
      try {
        const { capabilities, kvm } = await store.of(path);
        options.log.info({ emulator: path, version: capabilities.version, kvm: kvm.reason }, 'emulator probed');
        usable.push(capabilities);
      } catch (error) {
        if (!(error instanceof UnusableEmulator)) throw error;
        options.log.warn({ emulator: path, reason: error.message }, 'emulator not usable');
      }
    }
    if (usable.length > 0) return new QemuDriver(usable, await readHostInfo(), options);
    throw new VirtError('INTERNAL_ERROR', {
      detail: "no usable QEMU on this host; install one with 'apt-get install qemu-system-x86'",
    });
  }

  get hypervisorVersion(): string {
    const { version } = this.emulators[0]!;
    return [Math.floor(version / 1_000_000), Math.floor(version / 1_000) % 1_000, version % 1_000].join('.');
  }

  get virtTypes(): readonly string[] {
    return ['kvm', 'qemu'].filter((type) => this.emulators.some((one) => supportsDomainType(one, type)));
  }

  get arches(): readonly string[] {
    return this.emulators.map(({ arch }) => arch);
  }

  prepare(domain: Domain, { before }: { before?: Domain | undefined }): { domain: Domain; warnings: string[] } {
    const options = this.preparation(before === undefined);
    return { domain: prepareDomain(domain, this.capabilitiesFor(domain), options), warnings: [] };
  }

  private preparation(newDefinition: boolean): PrepareOptions {
    return { newDefinition, firmware: installedFirmware(), nvramDirectory: this.options.nvram };
  }

  taints(domain: Domain): TaintType[] {
    return taintsOf(domain);
  }

  start(spec: StartSpec): Promise<QemuGuest> {
    return bootGuest(spec, { ...this.bootHost, capabilities: this.capabilitiesFor(spec.domain) });
  }

  reattach(spec: ReattachSpec) {
    return reattachGuest(spec, this.bootHost);
  }

  private readonly settleDevices = (guest: QemuGuest): Promise<void> => settleDevices(this.deviceHost, guest);

  private readonly departed = (guest: QemuGuest, device: Device): Promise<void> =>
    departed(this.deviceHost, guest, device);

  hostCapabilities(): { xml: string; document: unknown } {
    const document = hostCapabilities(this.info, this.emulators);
    return { document, xml: hostCapabilitiesXml(document) };
  }

  domainCapabilities(ask: DomainCapabilitiesAsk): { xml: string; document: unknown } {
    const { capabilities, domainType } = this.chooseType(ask);
    const document = domainCapabilities(capabilities, { domainType, ...(ask.machine ? { machine: ask.machine } : {}) });
    if (!document) {
      const detail = `${capabilities.emulator} has no machine '${ask.machine}' for domains of type '${domainType}'`;
      throw new VirtError('INVALID_ARG', { detail });
    }
    return { document, xml: domainCapabilitiesXml(document) };
  }

  /** A binary, and the best domain type that it runs when none is asked for. */
  private chooseType(ask: DomainCapabilitiesAsk): { capabilities: QemuCapabilities; domainType: string } {
    const capabilities = this.choose(ask);
    const best = this.virtTypes.find((type) => supportsDomainType(capabilities, type));
    return { capabilities, domainType: ask.virtType ?? best ?? 'qemu' };
  }

  /** The binary of a definition: the one it names, else the first for its architecture and type. */
  private capabilitiesFor(domain: Domain): QemuCapabilities {
    return this.choose({
      emulator: domain.devices.emulator,
      arch: domain.os.type?.arch,
      virtType: domain.type,
    });
  }

  private choose(ask: {
    emulator?: string | undefined;
    arch?: string | undefined;
    virtType?: string | undefined;
  }): QemuCapabilities {
    const wrong = (detail: string): VirtError => new VirtError('CONFIG_UNSUPPORTED', { detail });
    if (ask.emulator) {
      const found = this.emulators.find(({ emulator }) => emulator === ask.emulator);
      if (found) return found;
      const why = existsSync(ask.emulator) ? 'is not one that this host uses' : 'does not exist';
      const known = this.emulators.map(({ emulator }) => emulator).join(', ');
      throw wrong(`the emulator '${ask.emulator}' ${why}; this host has: ${known}`);
    }
    const found = this.emulators.find(
      (one) =>
        (ask.arch === undefined || one.arch === ask.arch) &&
        (ask.virtType === undefined || supportsDomainType(one, ask.virtType)),
    );
    if (found) return found;
    const have = this.emulators.map(({ arch }) => arch).join(', ');
    throw wrong(
      `could not find an emulator for a domain of type '${ask.virtType ?? 'any'}' and architecture '${ask.arch ?? 'any'}'; this host has type ${this.virtTypes.join(', ')} on ${have}`,
    );
  }
}

/** Every `qemu-system-*` that the path offers, this machine's own architecture first. */
function onPath(): string[] {
  const own = process.arch === 'x64' ? 'x86_64' : process.arch === 'arm64' ? 'aarch64' : process.arch;
  const found = new Map<string, string>();
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    for (const name of listed(folder)) {
      if (/^qemu-system-[a-z0-9_]+$/.test(name) && !found.has(name)) found.set(name, join(folder, name));
    }
  }
  return [...found.values()].filter(executable).sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));

  function rank(path: string): number {
    return basename(path) === `qemu-system-${own}` ? 0 : 1;
  }
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
