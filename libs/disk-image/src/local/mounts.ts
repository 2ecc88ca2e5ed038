/** The file systems of this machine, from /proc/self/mountinfo: which are the kernel's, which are seen from other machines too. */

export interface Mount {
  /** What is mounted: a device, `server:/export`, … */
  readonly source: string;
  readonly type: string;
  /** The folder of the file system that is visible here. */
  readonly root: string;
  readonly point: string;
}

/** Seen under the same names from every machine that mounts them. */
const sharedTypes = new Set([
  'nfs',
  'nfs4',
  'cifs',
  'smb3',
  'smbfs',
  'ceph',
  'fuse.ceph',
  'fuse.glusterfs',
  'fuse.sshfs',
  'glusterfs',
  'lustre',
  'gpfs',
  'gfs2',
  'ocfs2',
  'afs',
  '9p',
  'virtiofs',
]);

/** Files in these are no files: reading them asks the kernel, opening them may do something. */
const kernelTypes = new Set([
  'proc',
  'sysfs',
  'devpts',
  'devtmpfs',
  'debugfs',
  'tracefs',
  'securityfs',
  'cgroup',
  'cgroup2',
  'bpf',
  'pstore',
  'configfs',
  'efivarfs',
  'fusectl',
  'mqueue',
  'binfmt_misc',
  'autofs',
  'rpc_pipefs',
  'selinuxfs',
  'nsfs',
]);

export const isShared = ({ type }: Mount): boolean => sharedTypes.has(type);
export const isKernels = ({ type }: Mount): boolean => kernelTypes.has(type);

/** Mounts by device number (`major:minor`), the latest first. */
export type Mounts = ReadonlyMap<string, readonly Mount[]>;

/** What lies there is asked of somebody who may not answer. */
export const mayHang = (mount: Mount): boolean =>
  isShared(mount) || mount.type.startsWith('fuse') || mount.type === 'autofs';

/** The mount in which a path without symbolic links lies: the one with the longest mount point. */
export function mountOf(mounts: Mounts, path: string): Mount | undefined {
  let found: Mount | undefined;
  for (const mount of [...mounts.values()].flat()) {
    if (isBelow(path, mount.point) && (!found || mount.point.length > found.point.length)) found = mount;
  }
  return found;
}

/** Whether a path is the folder or lies in it. */
export const isBelow = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);

/** Source: proc(5), /proc/pid/mountinfo. Spaces and the like stand there as `\040`. */
export function parseMounts(text: string): Mounts {
  const mounts = new Map<string, Mount[]>();
  for (const line of text.split('\n')) {
    const [fields = '', tail] = line.split(' - ');
    if (tail === undefined) continue;
    const [, , dev = '', root = '', point = ''] = fields.split(' ');
    const [type = '', source = ''] = tail.split(' ');
    const mount = { source: plain(source), type, root: plain(root), point: plain(point) };
    mounts.set(dev, [mount, ...(mounts.get(dev) ?? [])]);
  }
  return mounts;
}

const plain = (text: string): string =>
  text.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
