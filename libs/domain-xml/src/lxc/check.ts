/** Refuses what a container cannot have: all rules, all faults, one error. */
import type { Domain } from '../elements/domain';
import { checkDomain } from '../passes/prepare';
import { Faults, lineOf, type FaultCode } from '../schema';
import { allDevices } from '../device';
import { filesystemTypes, hostdevTypes, interfaceTypes } from './capabilities';
import type { LxcHost } from './prepare';
import { unsupportedParts } from './unsupported';
import { isRoot, sourceOf } from './to-config/mounts';

interface Judged {
  readonly domain: Domain;
  readonly host: LxcHost;
  readonly faults: Faults;
}
type Rule = (judged: Judged) => void;

const otherType = (what: string, type: string, known: readonly string[]): string =>
  `${what} type '${type}' is not supported for containers; it can be ${known.join(', ')}`;

const osType: Rule = ({ domain, host, faults }) => {
  const { os } = domain;
  const where = { element: 'os', line: lineOf(os.type ?? os) };
  const refuse = (code: FaultCode, detail: string): void => faults.add(code, detail, where);
  if (domain.type !== 'lxc') refuse('XML_ERROR', `a domain of type '${domain.type}' is no container; expected 'lxc'`);
  if (os.type?.name !== 'exe')
    refuse('OS_TYPE', `a container's <os><type> must be 'exe', not '${os.type?.name ?? ''}'`);
  const arch = os.type?.arch;
  if (arch !== undefined && !host.arches.includes(arch))
    refuse('CONFIG_UNSUPPORTED', `programs for ${arch} do not run here; this host runs ${host.arches.join(', ')}`);
  if (os.init === undefined) refuse('XML_ERROR', 'init binary must be specified');
  else if (!os.init.startsWith('/')) refuse('XML_ERROR', `init '${os.init}' must be an absolute path in the container`);
};

const idmap: Rule = ({ domain: { idmap: map }, faults }) => {
  if (!map) return;
  const where = { element: 'idmap', line: lineOf(map) };
  for (const [name, ranges] of [
    ['uid', map.uids],
    ['gid', map.gids],
  ] as const) {
    const sorted = [...ranges].sort((a, b) => a.start - b.start);
    if (sorted[0]?.start !== 0)
      faults.add('CONFIG_UNSUPPORTED', `<idmap> must map ${name} 0: a <${name}> with start='0' is missing`, where);
    sorted.forEach(({ start, count }, index) => {
      const next = sorted[index + 1];
      if (next && start + count > next.start)
        faults.add('XML_ERROR', `<idmap> maps ${name} ${next.start} twice`, { ...where, line: lineOf(next) });
    });
  }
};

const filesystems: Rule = ({ domain: { devices }, faults }) => {
  const targets = new Set<string>();
  for (const filesystem of devices.filesystems) {
    const where = { element: 'filesystem', line: lineOf(filesystem) };
    const { type, target, source } = filesystem;
    if (target?.dir === undefined) faults.add('XML_ERROR', 'missing <target dir> of <filesystem>', where);
    else if (!target.dir.startsWith('/') || target.dir.split('/').includes('..'))
      faults.add('XML_ERROR', `target '${target.dir}' must be an absolute path without '..'`, where);
    else if (targets.has(target.dir)) faults.add('XML_ERROR', `two filesystems have the target '${target.dir}'`, where);
    else targets.add(target.dir);
    if (!filesystemTypes.includes(type))
      faults.add('CONFIG_UNSUPPORTED', otherType('filesystem', type, filesystemTypes), where);
    else if (type === 'ram') {
      if (!source?.usage) faults.add('XML_ERROR', "a filesystem of type 'ram' needs <source usage='…'>", where);
      if (isRoot(filesystem))
        faults.add('CONFIG_UNSUPPORTED', 'the root file system cannot be in memory: nothing would be in it', where);
    } else if (sourceOf(filesystem) === undefined)
      faults.add('XML_ERROR', `missing source of a filesystem of type '${type}'`, where);
    if (filesystem.accessmode !== undefined && filesystem.accessmode !== 'passthrough')
      faults.add('CONFIG_UNSUPPORTED', `access mode '${filesystem.accessmode}' is not supported`, where);
    if (filesystem.space_hard_limit !== undefined && type !== 'ram' && type !== 'file')
      faults.add(
        'CONFIG_UNSUPPORTED',
        `<space_hard_limit> cannot be kept on a filesystem of type '${type}'; use an image (type='file') or memory (type='ram')`,
        where,
      );
  }
  if (!devices.filesystems.some(isRoot))
    faults.add(
      'CONFIG_UNSUPPORTED',
      "there is no <filesystem> with target dir='/'; a container needs its own root file system",
      { element: 'devices', line: lineOf(devices) },
    );
};

/** Only raw images, which the kernel mounts by itself. */
const images: Rule = ({ domain: { devices }, faults }) => {
  const check = (
    element: string,
    device: object,
    driver: { type?: string | undefined; format?: string | undefined },
  ) => {
    const { type, format = type === 'nbd' ? 'of any format' : 'raw' } = driver;
    if ((type === undefined || type === 'loop' || type === 'path' || type === 'default') && format === 'raw') return;
    const where = { element, line: lineOf(device) };
    faults.add('CONFIG_UNSUPPORTED', `an image for a container must be raw, not '${format}' by '${type}'`, where);
  };
  for (const filesystem of devices.filesystems) check('filesystem', filesystem, filesystem.driver ?? {});
  for (const disk of devices.disks) check('disk', disk, { format: disk.driver?.type ?? 'raw' });
};

/** What the kernel shares among all containers or decides for itself. */
const shared: Rule = ({ domain: { clock, numatune, vcpu }, faults }) => {
  const refuse = (detail: string, element: string, part: object | undefined): void =>
    faults.add('CONFIG_UNSUPPORTED', detail, { element, line: lineOf(part) });
  if (clock.offset !== 'utc') refuse(`a container has its host's clock: offset '${clock.offset}'`, 'clock', clock);
  if (vcpu.placement === 'auto') refuse('CPUs are not chosen by themselves: name a cpuset', 'vcpu', vcpu);
  const memory = numatune?.memory;
  if (memory && (memory.mode !== 'strict' || memory.nodeset === undefined))
    refuse("memory of a container is bound with mode='strict' and a nodeset, or not at all", 'numatune', numatune);
  if (numatune && numatune.memnodes.length > 0)
    refuse('a container has no NUMA nodes of its own', 'memnode', numatune.memnodes[0]);
};

const cards: Rule = ({ domain: { devices, lxcNamespace }, faults }) => {
  const pairs = new Set<string>();
  for (const card of devices.interfaces) {
    const where = { element: 'interface', line: lineOf(card) };
    if (!interfaceTypes.includes(card.type))
      faults.add('CONFIG_UNSUPPORTED', otherType('interface', card.type, interfaceTypes), where);
    const name = card.target?.dev;
    if (name !== undefined && pairs.has(name))
      faults.add('XML_ERROR', `two interfaces have the target '${name}'`, where);
    if (name !== undefined) pairs.add(name);
    if (card.vlan && card.type !== 'bridge')
      faults.add(
        'CONFIG_UNSUPPORTED',
        `tags are set on the end of a bridge; <interface type='${card.type}'> has none`,
        where,
      );
    if ((card.source?.ips.length ?? 0) + (card.source?.routes.length ?? 0) > 0)
      faults.add(
        'CONFIG_UNSUPPORTED',
        "addresses of an interface's end on the host are not supported; give them to a bridge",
        where,
      );
  }
  const hasCard = devices.interfaces.length > 0 || devices.hostdevs.some(({ type }) => type === 'net');
  if (hasCard && lxcNamespace?.net)
    faults.add('CONFIG_UNSUPPORTED', 'a container that shares its network cannot have network cards of its own', {
      element: 'lxc:sharenet',
      line: lineOf(lxcNamespace.net),
    });
};

const hostDevices: Rule = ({ domain: { devices }, faults }) => {
  for (const hostdev of devices.hostdevs) {
    const where = { element: 'hostdev', line: lineOf(hostdev) };
    const named: Readonly<Record<string, string | undefined>> = {
      storage: hostdev.source?.block,
      misc: hostdev.source?.char,
      net: hostdev.source?.interface,
    };
    if (hostdev.mode !== 'capabilities')
      faults.add(
        'CONFIG_UNSUPPORTED',
        `a container gets devices of the host by mode='capabilities', not '${hostdev.mode}'`,
        where,
      );
    else if (!hostdevTypes.includes(hostdev.type))
      faults.add('CONFIG_UNSUPPORTED', otherType('hostdev', hostdev.type, hostdevTypes), where);
    else if (named[hostdev.type] === undefined)
      faults.add('XML_ERROR', `missing source of hostdev type '${hostdev.type}'`, where);
  }
  for (const disk of devices.disks)
    if (disk.type !== 'block' || disk.device !== 'disk')
      faults.add('CONFIG_UNSUPPORTED', "a container's disk must be of type 'block'; an image is a <filesystem>", {
        element: 'disk',
        line: lineOf(disk),
      });
};

/** Two nodes at one place: the later hides the earlier, and neither can be told from the other to leave. */
const places: Rule = ({ domain: { devices }, faults }) => {
  const taken = new Set<string>();
  const take = (element: string, device: object, path: string | undefined): void => {
    if (path === undefined) return;
    const place = `/${path.split('/').filter(isStep).join('/')}`;
    if (taken.has(place))
      faults.add('XML_ERROR', `two devices have the place '${place}' in the container`, {
        element,
        line: lineOf(device),
      });
    taken.add(place);
  };
  for (const hostdev of devices.hostdevs)
    if (hostdev.type !== 'net') take('hostdev', hostdev, hostdev.source?.block ?? hostdev.source?.char);
  for (const disk of devices.disks) take('disk', disk, disk.target.dev && `/dev/${disk.target.dev}`);
};

const isStep = (part: string): boolean => part !== '' && part !== '.';

const consoles: Rule = ({ domain: { devices }, faults }) => {
  for (const console of devices.consoles.slice(1))
    if (console.log)
      faults.add('CONFIG_UNSUPPORTED', "only the first console's output is kept: remove <log> from the others", {
        element: 'console',
        line: lineOf(console),
      });
  for (const { type, target, ...console } of devices.consoles)
    if (type !== 'pty' || target?.type !== 'lxc')
      faults.add('CONFIG_UNSUPPORTED', "a container's console must be of type 'pty' with target type 'lxc'", {
        element: 'console',
        line: lineOf(console),
      });
};

const ending: Rule = ({ domain, faults }) => {
  if (domain.on_poweroff === 'destroy' || domain.on_poweroff === undefined) return;
  const detail = `<on_poweroff> '${domain.on_poweroff}' is not supported for containers: one whose init has ended has stopped; use 'destroy'`;
  faults.add('CONFIG_UNSUPPORTED', detail, { element: 'on_poweroff', line: lineOf(domain) });
};

const unsupported: Rule = ({ domain, faults }) => {
  for (const { element, line } of unsupportedParts(domain, allDevices(domain)))
    faults.add('CONFIG_UNSUPPORTED', `<${element}> is not supported for containers; remove it`, { element, line });
};

const rules: readonly Rule[] = [
  ...[osType, idmap, filesystems, images, shared, cards, hostDevices, places, consoles, ending, unsupported],
];

/** Throws one VirtError that names all faults of a container's document, defaults filled in. */
export function checkLxc(domain: Domain, host: LxcHost): void {
  checkDomain(domain);
  const faults = new Faults();
  for (const rule of rules) rule({ domain, host, faults });
  faults.throwIfAny();
}
