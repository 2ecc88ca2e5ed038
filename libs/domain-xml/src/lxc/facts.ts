/** What a host can do for containers, and what a start needs to know beside the document: plain data that the driver probes. */

export type CgroupController = 'memory' | 'cpu' | 'cpuset' | 'blkio' | 'devices' | 'pids' | 'freezer' | 'cpuacct';

/** Where the controllers are: hybrid hosts have some on the old hierarchies and others on the unified one. */
export interface LxcCgroups {
  /** A controller that is absent here cannot be used. */
  readonly versions: Readonly<Partial<Record<CgroupController, 1 | 2>>>;
  /** File that holds the weight in block I/O, e.g. `blkio.bfq.weight` or `io.weight`; absent when the kernel has none. */
  readonly blkioWeight?: string;
  /** Swap is counted, so it can be limited. */
  readonly swap: boolean;
}

/** What liblxc on one host can do. */
export interface LxcCapabilities {
  /** Path of the program that starts containers, shown as `<emulator>`. */
  readonly emulator: string;
  /** liblxc's version: major * 1 000 000 + minor * 1000 + micro, 5.0.2 is 5000002. */
  readonly version: number;
  /** libvirt's names of the architectures whose programs run here, the host's own first. */
  readonly arches: readonly string[];
  readonly cgroups: LxcCgroups;
  readonly apparmor: boolean;
  readonly selinux: boolean;
  readonly seccomp: boolean;
}

/** A device node of the host. */
export interface DeviceNode {
  readonly kind: 'block' | 'char';
  readonly major: number;
  readonly minor: number;
}

/**
 * All that `toLxcConfig` must know of the host and of this start. Every text that ends up in the configuration is checked, so
 * values may come from anywhere. What is absent leaves its lines out, unless the document needs it: then the call fails.
 */
export interface LxcFacts {
  readonly cgroups: LxcCgroups;
  /** The host runs AppArmor and liblxc can use it. */
  readonly apparmor?: boolean;
  /** Path of the seccomp policy. */
  readonly seccompProfile?: string;
  /** Path of the container's cgroup below each hierarchy's root, so that it is known beforehand. */
  readonly cgroupDir?: string;
  /** No more processes and threads than this. */
  readonly pidsMax?: number;
  /** File that the first console's output is appended to. */
  readonly consoleLog?: string;
  /**
   * The files of the root file system belong to the host's own ids, not to those that `<idmap>` maps to: they are mapped while it is
   * mounted (Linux 5.12, on file systems that can).
   */
  readonly idmapRoot?: boolean;
  /** The same for what is mounted below the root, by its path on the host. */
  readonly idmapMount?: (path: string) => boolean;
  /** Numbers behind the names in `<inituser>` and `<initgroup>`, looked up in the container's own files. */
  readonly ids?: { readonly uid?: number; readonly gid?: number };
  /**
   * `arguments`: the driver hands `initWords` to lxc-start after `--`, where a word may hold anything; the configuration then
   * leaves `lxc.init.cmd` out when it cannot say them.
   */
  readonly command?: 'config' | 'arguments';
  /** The device node at a path of the host; undefined when there is none. */
  readonly device?: (path: string) => DeviceNode | undefined;
  /** The node that the container gets for a device of the host; without it the host's own. */
  readonly node?: (path: string) => string;
  /** Whether there is a plain file, not a folder, at a path of the host. */
  readonly isFile?: (path: string) => boolean;
  /** The folder of the host that holds the root file system; left out: what the document names, which liblxc mounts itself. */
  readonly root?: string;
  /** The folder of the host that the source of a `block` or `file` file system is mounted on. */
  readonly mounted?: (source: string) => string | undefined;
  /** Where the host has mounted a folder for the container; undefined when it is used where it is. */
  readonly folder?: (path: string) => string | undefined;
  /**
   * For a path of the container's own that it sees at another place as well: what liblxc binds, and whether that is a plain file. Left out:
   * the path itself, below wherever liblxc has the root.
   */
  readonly inside?: (path: string) => { readonly source: string; readonly isFile: boolean };
  /** Process id of the init of another container on this host. */
  readonly initPid?: (container: string) => number | undefined;
  /** Path of a namespace that the container shares, where the driver holds it; left out: liblxc looks for the process at each boot. */
  readonly namespace?: (kind: 'net' | 'ipc' | 'uts') => string | undefined;
  /** Further settings of the driver: hooks, signals, logs. */
  readonly entries?: readonly (readonly [key: string, value: string])[];
}
