/** The root file system and `lxc.mount.entry` lines. */
import type { Filesystem } from '../../elements/filesystem';
import type { Hostdev } from '../../elements/hostdev';
import type { Domain } from '../../elements/domain';
import { alwaysAllowed } from '../to-config/device-nodes';
import { at, sizeOf, type Reading } from './reading';
import type { Setting } from './settings';

export function readMounts(reading: Reading, { devices }: Domain): void {
  const root = readRoot(reading);
  if (root) devices.filesystems.push(root);
  for (const setting of reading.all('lxc.mount.fstab'))
    reading.refuse(
      setting,
      `mounts in a file of their own are not read; write '${setting.value}' as lxc.mount.entry lines`,
    );
  for (const setting of reading.all('lxc.mount.entry')) {
    const mount = readEntry(reading, setting);
    if (mount && 'mode' in mount) devices.hostdevs.push(mount);
    else if (mount) devices.filesystems.push(mount);
  }
  readAccess(reading, devices.hostdevs.length > 0);
}

/** Rules for devices follow from the devices that a document names; those of others are told of. */
function readAccess(reading: Reading, hasDevices: boolean): void {
  for (const setting of reading.matching((key) => /^lxc\.cgroup2?\.devices\.(allow|deny)$/.test(key))) {
    const [kind, number = ''] = setting.value.split(/\s+/);
    if (setting.key.endsWith('.deny') || hasDevices || (kind === 'c' && alwaysAllowed.includes(number))) continue;
    reading.warn(setting, `'${setting.value}' is lost; name the device in a <hostdev mode='capabilities'>`);
  }
}

function readRoot(reading: Reading): Filesystem | undefined {
  const setting = reading.last('lxc.rootfs.path');
  const options = reading.last('lxc.rootfs.options');
  if (!setting) {
    reading.faults.add('CONFIG_UNSUPPORTED', 'Missing lxc.rootfs.path configuration: where the root file system is');
    return undefined;
  }
  const [, prefix, path = ''] = /^(?:([a-z]+):)?(.*)$/s.exec(setting.value) ?? [];
  if (!path.startsWith('/')) return reading.refuse(setting, `'${setting.value}' is no absolute path`);
  if (prefix !== undefined && prefix !== 'dir' && prefix !== 'loop')
    return reading.refuse(setting, `storage of type '${prefix}' is not supported; it can be dir or loop`);
  const target = { dir: '/' };
  const access = options?.value.split(',').includes('ro') ? { readonly: true } : {};
  if (options) warnOfLost(reading, options, options.value.split(','), rootOptions);
  if (prefix === 'loop' && !path.startsWith('/dev/'))
    return at<Filesystem>(setting, {
      type: 'file',
      driver: { type: 'loop', format: 'raw' },
      source: { file: path },
      target,
      ...access,
    });
  return at<Filesystem>(
    setting,
    path.startsWith('/dev/')
      ? { type: 'block', source: { dev: path }, target, ...access }
      : { type: 'mount', source: { dir: path }, target, ...access },
  );
}

/** Options that a document says in its own way, or that a container has by itself. */
const rootOptions = /^(ro|rw|defaults|idmap=container)$/;
const mountOptions = /^(r?bind|ro|rw|defaults|relative|create=(dir|file))$/;
const memoryOptions = /^(ro|rw|defaults|size=.*|mode=1777|nosuid|nodev|create=dir)$/;

function warnOfLost(reading: Reading, setting: Setting, options: readonly string[], known: RegExp): void {
  const lost = options.filter((option) => !known.test(option));
  if (lost.length > 0) reading.warn(setting, `a document has no words for the options ${lost.join(',')}`);
}

/** What every container gets by itself. */
const basic: ReadonlySet<string> = new Set(['/proc', '/sys', '/dev', '/dev/pts', '/dev/shm', '/dev/mqueue']);

function readEntry(reading: Reading, setting: Setting): Filesystem | Hostdev | undefined {
  const [source, place, type, given] = setting.value.split(/[ \t]+/).map(unescaped);
  if (source === undefined || place === undefined || type === undefined || given === undefined)
    return reading.refuse(setting, 'expected: SOURCE TARGET TYPE OPTIONS [DUMP PASS]');
  const options = given.split(',');
  const dir = `/${place.replace(/^\/+/, '')}`;
  const access = options.includes('ro') ? { readonly: true } : {};
  if (basic.has(dir) || type === 'proc' || type === 'sysfs' || type.startsWith('cgroup')) return undefined;
  warnOfLost(reading, setting, options, type === 'tmpfs' ? memoryOptions : mountOptions);
  if (type === 'tmpfs') {
    const size = options.find((option) => option.startsWith('size='))?.slice('size='.length);
    const bytes = size === undefined ? undefined : sizeOf(size);
    if (bytes === undefined)
      return reading.refuse(setting, `a file system in memory needs an absolute size${size ? `, not '${size}'` : ''}`);
    return at<Filesystem>(setting, {
      type: 'ram',
      source: { usage: Math.ceil(bytes / 1024), units: 'KiB' },
      target: { dir },
      ...access,
    });
  }
  const bound = options.includes('bind') || options.includes('rbind');
  if (bound && options.includes('relative'))
    return at<Filesystem>(setting, { type: 'bind', source: { dir: `/${source}` }, target: { dir }, ...access });
  if (!source.startsWith('/')) return reading.refuse(setting, `the source '${source}' is no absolute path`);
  if (bound && source === dir && source.startsWith('/dev/')) return at(setting, hostDevice(source, access));
  if (!bound && source.startsWith('/dev/'))
    return at<Filesystem>(setting, { type: 'block', source: { dev: source }, target: { dir }, ...access });
  return at<Filesystem>(setting, { type: 'mount', source: { dir: source }, target: { dir }, ...access });
}

/** Names that Linux gives to block devices. */
const blockDevice = /^\/dev\/(block|disk|mapper|[shv]d[a-z]|xvd|nvme\d|mmcblk|loop|dm-|md|nbd|sr|zram)/;

function hostDevice(path: string, access: { readonly?: boolean }): Hostdev {
  const isBlock = blockDevice.test(path);
  return {
    mode: 'capabilities',
    type: isBlock ? 'storage' : 'misc',
    source: { ...(isBlock ? { block: path } : { char: path }), hosts: [] },
    ips: [],
    routes: [],
    ...access,
  };
}

const unescaped = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
