/**
 * What a command line depends on beside the domain, and what comes out of it.
 *
 * Everything here is data: the caller has looked at the host, opened what has to be opened and encrypted the secrets.
 */
import { VirtError } from '@virtbus/shared';
import type { QemuCapabilities } from '../capabilities';
import type { Domain } from '../elements/domain';
import type { HostLocation } from '../elements/hostdev';
import type { Props } from './props';

/** Something that QEMU gets as an open file descriptor. */
export type DescriptorUse =
  | { readonly kind: 'listening-socket'; readonly alias: string; readonly path: string }
  | { readonly kind: 'file'; readonly alias: string; readonly path: string; readonly append: boolean }
  | { readonly kind: 'log'; readonly alias: string; readonly path: string; readonly append: boolean }
  | { readonly kind: 'tap'; readonly alias: string; readonly queue: number }
  | { readonly kind: 'vhost-net'; readonly alias: string; readonly queue: number }
  | { readonly kind: 'vhost-vsock'; readonly alias: string }
  | { readonly kind: 'vhost-scsi'; readonly alias: string }
  | { readonly kind: 'vhost-vdpa'; readonly alias: string; readonly path: string }
  | { readonly kind: 'vhost-user-gpu'; readonly alias: string }
  | { readonly kind: 'slirp'; readonly alias: string }
  | { readonly kind: 'tpm'; readonly alias: string; readonly what: 'device' | 'cancel'; readonly path: string };

export interface Descriptor {
  readonly fd: number;
  readonly use: DescriptorUse;
}

/** One secret that QEMU needs, for example the passphrase of a disk. */
export interface SecretRequest {
  /** Which one: libvirt's reference to it. */
  readonly uuid?: string | undefined;
  readonly usage?: string | undefined;
  readonly type: 'passphrase' | 'ceph' | 'iscsi' | 'volume' | 'tls' | 'vtpm' | 'cookie';
  /** For `cookie`, which is not kept elsewhere: the text itself. */
  readonly text?: string;
}

/** A secret encrypted with the guest's master key (AES-256-CBC); both base64. */
export interface EncryptedSecret {
  readonly data: string;
  readonly iv: string;
}

/** Settings of the host's daemon that show in a command line. */
export interface HostSettings {
  readonly spiceTls?: boolean;
  readonly vncTls?: { readonly verifyPeer: boolean; readonly secret?: string };
  readonly vncSasl?: boolean;
  readonly spiceSasl?: boolean;
  /** Folder with SASL's configuration for displays. */
  readonly saslFolder?: string;
  /** There is a password for displays that bring none. */
  readonly vncPassword?: boolean;
  readonly spicePassword?: boolean;
  /** Character devices on TCP speak TLS when they ask for it, or all that do not say no. */
  readonly chardevTls?: { readonly byDefault: boolean; readonly verifyPeer: boolean; readonly secret?: string };
  /** Guests' memory is part of core dumps of QEMU; not unless the domain says so. */
  readonly dumpGuestCore?: boolean;
  /** Folders with x509 files, by use. */
  readonly tlsFolders?: Readonly<Partial<Record<'vnc' | 'spice' | 'chardev' | 'nbd', string>>>;
}

/** Mount points of huge pages, by page size in KiB. */
export interface HugePages {
  readonly sizeKib: number;
  readonly mount: string;
  readonly isDefault: boolean;
}

export interface CommandLineContext {
  readonly capabilities: QemuCapabilities;
  /** Folder that belongs to this guest alone: sockets, master key. */
  readonly domainDir: string;
  /** `<id>-<first 20 characters of the name>`: the guest's name in folders shared by all guests. */
  readonly shortName: string;
  /** The value of `-chardev` for the monitor; its id has to be `charmonitor`. */
  readonly monitor: { readonly descriptor: number } | { readonly path: string };
  /** File with the guest's master key; without one no secret can be given to QEMU. */
  readonly masterKey?: string;
  /** Encrypts a secret with the master key. */
  readonly secret?: (request: SecretRequest) => EncryptedSecret;
  /** Number of the descriptor that the caller will pass for this use. */
  readonly descriptor: (use: DescriptorUse) => number;
  /** Unix sockets that QEMU would listen on are made by the caller and passed, too. */
  readonly passSockets?: boolean;
  /** Files that QEMU would write its serial output and logs to are opened by the caller and passed. */
  readonly passFiles?: boolean;
  /** Descriptors of files handed in by the client, for `<source fdgroup=…>`. */
  readonly fdGroups?: ReadonlyMap<string, { readonly fds: readonly number[]; readonly writable: boolean }>;
  /** The kernel helps virtio network cards (`/dev/vhost-net` can be opened); yes unless told otherwise. */
  readonly vhostNet?: boolean;
  /** QEMU opens taps by the name in `<target dev=…>` rather than being passed them. */
  readonly tapsByName?: boolean;
  /** Seccomp filter; on unless told otherwise. */
  readonly sandbox?: boolean;
  /** The `-incoming` URI of a guest that waits for its memory. */
  readonly incoming?: string;
  /**
   * Images of whose chain nothing is known are left to QEMU, which then opens what their headers name. Only for showing a command
   * line; a guest is never started so.
   */
  readonly allowUnknownChain?: boolean;
  /** Environment of the manager: PATH, USER, LOGNAME and what audio and display servers need. */
  readonly environment: Readonly<Record<string, string>>;
  readonly settings?: HostSettings;
  readonly hugePages?: readonly HugePages[];
  /** NUMA nodes of the host; not looked at when absent. */
  readonly numaNodes?: readonly number[];
  /** The NUMA nodes that the host's balancer advises, for `placement='auto'`: `0-3`. */
  readonly autoNodeset?: string;
  /** Folder for memory files that are not huge pages. */
  readonly memoryDir: string;
  /** Run-time folders of helpers; each guest's files are named by `shortName`. */
  readonly runDir: string;
  /** Path of a DRM render node for guests that want one and name none. */
  readonly renderNode?: string;
  /** Seconds since 1970 for clocks that start elsewhere than now, and the local zone's offset from UTC in seconds. */
  readonly now: { readonly seconds: number; readonly zoneOffset: number };
  /** Network protocols whose images nbdkit serves on a socket in `domainDir`; QEMU opens the others itself. */
  readonly nbdkit?: ReadonlySet<string>;
  /** Path of the generic device of a SCSI unit of the host. */
  readonly scsiGeneric?: (adapter: string, unit: HostLocation) => string | undefined;
  /** Folder with the sockets of shared-memory servers. */
  readonly shmemDir?: string;
  /** Sockets of helper programs that the caller has started, by alias of their device. */
  readonly helperSockets?: Readonly<Record<string, string>>;
}

/** Nodes that carry one disk. */
export interface DiskNodes {
  /** Alias of the disk. */
  readonly alias: string;
  /** `vda` and the like. */
  readonly target: string;
  /** All nodes in the order in which they were added. */
  readonly names: readonly string[];
  /** The node that the guest's device uses; undefined for an empty drive. */
  readonly top: string | undefined;
}

export interface QemuCommandLine {
  /** Words after the binary. */
  readonly args: readonly string[];
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** What the caller has to open and pass. */
  readonly descriptors: readonly Descriptor[];
  readonly disks: readonly DiskNodes[];
  /** The domain with an index on each image, as the running guest's document shows it. */
  readonly domain: Domain;
  /** Targets of disks to be plugged in once QEMU runs, because an overlay is made first. */
  readonly pluggedLater: readonly string[];
  /** The next index to give to an image. */
  readonly nextIndex: number;
}

/** A domain that is ready to start, with all that its command line depends on. */
export interface Guest {
  readonly domain: Domain;
  readonly context: CommandLineContext;
}

/** An object for `-object` or `object-add`. */
export type ObjectProps = Props & { 'qom-type': string; id: string };

export const hasFlag = ({ context }: Guest, flag: string): boolean => context.capabilities.flags.has(flag);

export function unsupported(detail: string): never {
  throw new VirtError('CONFIG_UNSUPPORTED', { detail });
}

/** The device's alias; without one the guest was not prepared. */
export function aliasOf(device: { alias?: { name: string } | undefined }): string {
  if (device.alias === undefined)
    throw new VirtError('INTERNAL_ERROR', {
      detail: 'a device has no alias: assign them before building a command line',
    });
  return device.alias.name;
}
