/** Device nodes: which ones exist in the container, and which it may use. */
import type { Domain } from '../../elements/domain';
import { lineOf } from '../../schema';
import type { DeviceNode, LxcFacts } from '../facts';
import { mountEntry, refuse, type ConfigLines, type Where } from './lines';

/** Everybody's: null, zero, full, random, urandom, tty, console, ptmx, pts, fuse. */
export const alwaysAllowed: readonly string[] = [
  '1:3',
  '1:5',
  '1:7',
  '1:8',
  '1:9',
  '5:0',
  '5:1',
  '5:2',
  '136:*',
  '10:229',
];

/** A device of the host that the document asks for: where it is, and where the container sees it. */
interface Wish {
  readonly kind: DeviceNode['kind'];
  readonly path: string;
  readonly target: string;
  readonly readonly: boolean;
  readonly where: Where;
}

export function writeDeviceNodes(lines: ConfigLines, domain: Domain, facts: LxcFacts): void {
  const version = facts.cgroups.versions.devices;
  const wishes = wishesOf(domain);
  if (version === undefined && wishes.length > 0)
    refuse('this host cannot do that: devices cgroup is not mounted', wishes[0]?.where);
  const prefix = `lxc.cgroup${version === 2 ? '2' : ''}.devices`;
  if (version !== undefined) {
    lines.set(`${prefix}.deny`, 'a');
    for (const number of alwaysAllowed) lines.set(`${prefix}.allow`, `c ${number} rwm`);
  }
  for (const wish of wishes) {
    const node = deviceNumber(wish.path, facts, wish.where);
    if (node.kind !== wish.kind) refuse(`'${wish.path}' is no ${wish.kind} device`, wish.where);
    lines.set(`${prefix}.allow`, accessRule(node, wish.readonly), wish.where);
    const options = ['bind', ...(wish.readonly ? ['ro'] : []), 'create=file'];
    const source = facts.node?.(wish.path) ?? wish.path;
    mountEntry(lines, { source, target: wish.target, type: 'none', options }, wish.where);
  }
}

/** A line of the devices controller: `b 8:1 rwm`. */
export const accessRule = ({ kind, major, minor }: DeviceNode, readonly = false): string =>
  `${kind === 'block' ? 'b' : 'c'} ${major}:${minor} ${readonly ? 'rm' : 'rwm'}`;

function wishesOf({ devices }: Domain): Wish[] {
  const wishes: Wish[] = [];
  for (const hostdev of devices.hostdevs) {
    const where = { element: 'hostdev', line: lineOf(hostdev) };
    const kind = hostdev.type === 'storage' ? 'block' : 'char';
    const path = hostdev.type === 'storage' ? hostdev.source?.block : hostdev.source?.char;
    if (hostdev.type === 'net') continue;
    if (path === undefined) refuse(`<hostdev type='${hostdev.type}'> names no device`, where);
    wishes.push({ kind, path, target: path, readonly: hostdev.readonly === true, where });
  }
  for (const disk of devices.disks) {
    const where = { element: 'disk', line: lineOf(disk) };
    const path = disk.type === 'block' ? disk.source?.dev : undefined;
    if (path === undefined) refuse("only a <disk type='block'> with a source can be given to a container", where);
    const target = `/dev/${disk.target.dev ?? ''}`;
    wishes.push({ kind: 'block', path, target, readonly: disk.readonly === true, where });
  }
  return wishes;
}

/** The numbers of a device of the host. Throws CONFIG_UNSUPPORTED where there is none. */
export function deviceNumber(path: string, facts: Pick<LxcFacts, 'device'>, where: Where): DeviceNode {
  const byNumber = /^\/dev\/block\/(\d+):(\d+)$/.exec(path);
  if (byNumber) return { kind: 'block', major: Number(byNumber[1]), minor: Number(byNumber[2]) };
  return facts.device?.(path) ?? refuse(`the host has no device '${path}'`, where);
}
