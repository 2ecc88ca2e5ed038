/** The root file system, and what is mounted below it. */
import type { Domain } from '../../elements/domain';
import type { Filesystem } from '../../elements/filesystem';
import { lineOf } from '../../schema';
import type { LxcFacts } from '../facts';
import { mountEntry, refuse, type ConfigLines, type Where } from './lines';
import { hasHostNetwork } from './network';

export const isRoot = ({ target }: Filesystem): boolean => target?.dir === '/';

/** Where a file system comes from on the host. */
export function sourceOf({ type, source }: Filesystem): string | undefined {
  return type === 'file' ? source?.file : type === 'block' ? source?.dev : source?.dir;
}

export function writeMounts(lines: ConfigLines, domain: Domain, facts: LxcFacts): void {
  const { devices } = domain;
  const root = devices.filesystems.find(isRoot);
  if (!root)
    refuse(
      "there is no <filesystem> with target dir='/', so the container would run on the host's own root; add one, with source dir='/' if that is what you want",
      { element: 'devices', line: lineOf(devices) },
    );
  writeRoot(lines, root, { at: facts.root, mapped: domain.idmap !== undefined && facts.idmapRoot === true });
  // Nobody but the owner of a network may mount its sysfs.
  const foreign = domain.idmap !== undefined && (hasHostNetwork(domain) || domain.lxcNamespace?.net !== undefined);
  lines.set('lxc.mount.auto', `proc:mixed${foreign ? '' : ' sys:ro'} cgroup:mixed`);
  if (foreign && isUnified(facts)) writePlaceOfCgroups(lines, whereOf(root));
  lines.set('lxc.autodev', 1);
  const mapsIds = domain.idmap !== undefined;
  for (const filesystem of devices.filesystems)
    if (!isRoot(filesystem)) writeMount(lines, filesystem, { ...facts, mapsIds });
}

/** All controllers are on the one hierarchy of version 2. */
const isUnified = ({ cgroups }: LxcFacts): boolean => Object.values(cgroups.versions).every((version) => version === 2);

/** liblxc mounts the hierarchy of version 2 in a folder that sysfs has, and makes none where that is not mounted; of version 1 it does. */
function writePlaceOfCgroups(lines: ConfigLines, where: Where): void {
  const options = ['size=64k', 'mode=755', 'nosuid', 'nodev', 'noexec', 'create=dir'];
  for (const target of ['/sys', '/sys/fs/cgroup'])
    mountEntry(lines, { source: 'tmpfs', target, type: 'tmpfs', options }, where);
}

const storage: Readonly<Partial<Record<Filesystem['type'], string>>> = {
  mount: 'dir:',
  bind: 'dir:',
  file: 'loop:',
  // liblxc mounts no block devices, but looks at them through a loop device just as well.
  block: 'loop:',
};

function writeRoot(
  lines: ConfigLines,
  root: Filesystem,
  { at, mapped }: { at: string | undefined; mapped: boolean },
): void {
  const where = whereOf(root);
  const prefix = storage[root.type];
  if (prefix === undefined) refuse(`a root file system cannot be of type '${root.type}'`, where);
  const path = hostPath(root, where);
  lines.set('lxc.rootfs.path', at === undefined ? `${prefix}${path}` : `dir:${at}`, where);
  const options = [...(root.readonly ? ['ro'] : []), ...(mapped ? ['idmap=container'] : [])];
  if (options.length > 0) lines.set('lxc.rootfs.options', options.join(','));
}

/** One mount below the root. */
function writeMount(
  lines: ConfigLines,
  filesystem: Filesystem,
  { mapsIds, ...facts }: LxcFacts & { mapsIds: boolean },
): void {
  const where = whereOf(filesystem);
  const target = filesystem.target?.dir ?? refuse('<filesystem> has no <target dir>', where);
  const access = filesystem.readonly ? ['ro'] : [];
  if (filesystem.type === 'ram') {
    const kib = filesystem.source?.usage ?? refuse('a <filesystem> in memory needs <source usage>', where);
    const most = Math.min(kib * 1024, filesystem.space_hard_limit ?? Number.POSITIVE_INFINITY);
    const options = [`size=${most}`, 'mode=1777', 'nosuid', 'nodev', ...access, 'create=dir'];
    mountEntry(lines, { source: 'tmpfs', target, type: 'tmpfs', options }, where);
    return;
  }
  const path = pathOf(filesystem, facts, where);
  if (filesystem.type === 'bind') {
    const inside = facts.inside?.(path);
    const source = inside?.source ?? (path.replace(/^\/+/, '') || '.');
    const options = ['bind', ...access, ...(inside ? [] : ['relative']), createOption(inside?.isFile)];
    mountEntry(lines, { source, target, type: 'none', options }, where);
    return;
  }
  const mapped = mapsIds && facts.idmapMount?.(path) ? ['idmap=container'] : [];
  const options = ['bind', ...access, ...mapped, createOption(facts.isFile?.(path))];
  mountEntry(lines, { source: path, target, type: 'none', options }, where);
}

const createOption = (isFile: boolean | undefined): string => (isFile ? 'create=file' : 'create=dir');

function pathOf(filesystem: Filesystem, facts: LxcFacts, where: Where): string {
  if (filesystem.type === 'block' || filesystem.type === 'file') return mountedAt(filesystem, facts, where);
  const path = hostPath(filesystem, where);
  return (filesystem.type === 'mount' && facts.folder?.(path)) || path;
}

/** Mounted by the host: in a user namespace of its own, which is where a container mounts, the kernel takes no image. */
function mountedAt(filesystem: Filesystem, { mounted }: LxcFacts, where: Where): string {
  const path = hostPath(filesystem, where);
  if (!mounted) refuse(`'${path}' is mounted by a start: a configuration alone cannot mount it below the root`, where);
  return mounted(path) ?? refuse(`'${path}' holds no file system that the host can mount`, where);
}

function hostPath(filesystem: Filesystem, where: Where): string {
  const path = sourceOf(filesystem) ?? refuse(`<filesystem type='${filesystem.type}'> has no source`, where);
  if (!path.startsWith('/') || path.split('/').includes('..'))
    refuse(`the source '${path}' must be an absolute path without '..'`, where);
  return path;
}

const whereOf = (filesystem: Filesystem): Where => ({ element: 'filesystem', line: lineOf(filesystem) });
