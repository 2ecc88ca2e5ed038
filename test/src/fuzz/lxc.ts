/**
 * Containers: documents on their way to liblxc's configuration, and configurations on their way to a document.
 *
 * Seeds are the container of `docs/examples` and, where the conformance kit lies, libvirt's own. A configuration of ours that
 * has a key which nobody asked for is a failure: then a text of the document has become a setting.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  fromLxcConfig,
  parseDomain,
  prepareLxcDomain,
  toLxcConfig,
  type Domain,
  type LxcFacts,
} from '@virtbus/domain-xml';
import { isVirtError } from '@virtbus/shared';
import { checkout } from '@virtbus/testkit';
import type { Random } from './random';
import type { FuzzTarget } from './target';
import { damageXml } from './xml-damage';

const kit = resolve(checkout, '../shared/conformance/lxc');
const host = { emulator: '/usr/bin/lxc-start', arches: ['x86_64', 'i686'] };
const facts: LxcFacts = {
  cgroups: { versions: { memory: 1, cpu: 2, cpuset: 1, blkio: 2, devices: 1 }, blkioWeight: 'io.weight', swap: true },
  device: (path) => ({ kind: path.includes('net') ? 'char' : 'block', major: 10, minor: 200 }),
  mounted: (source) => (source.includes('..') ? undefined : '/run/mounted'),
};

function seedsIn(ending: string, ...folders: string[]): Uint8Array[] {
  return folders.filter(existsSync).flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(ending))
      .sort()
      .map((name) => readFileSync(join(folder, name))),
  );
}

const decoded = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const ours =
  /^lxc\.(uts|arch|rootfs|mount|autodev|init|environment|console|tty|pty|namespace|net|idmap|cap|selinux|cgroup2?)\b/;

function written(domain: Domain): void {
  const config = toLxcConfig(prepareLxcDomain(domain, host), facts);
  const strange = config.split(/[\r\n\0]/).find((line) => line !== '' && !ours.test(line));
  if (strange !== undefined) throw new Error(`a text has become a setting: ${strange}`);
}

const outcome = (run: () => void): string => {
  try {
    run();
    return 'accepted';
  } catch (error) {
    if (isVirtError(error)) return error.code;
    throw error;
  }
};

export const lxcXml: FuzzTarget = {
  name: 'lxc-xml',
  seeds: () => [
    readFileSync(join(checkout, 'docs/examples/container.xml')),
    ...seedsIn('.xml', join(kit, 'xml2xml/in'), join(kit, 'conf2xml')),
  ],
  mutate: (document, other, random: Random) =>
    new TextEncoder().encode(damageXml(decoded(document), decoded(other), random)),
  run: (document) =>
    outcome(() => written(parseDomain(decoded(document), { mode: 'inactive', unknown: 'warn' }).domain)),
};

/** One of each kind of line, for where the kit does not lie. */
const config = `lxc.uts.name = web
lxc.rootfs.path = dir:/srv/web
lxc.mount.entry = /srv/my\\040data data none bind,ro,create=dir 0 0
lxc.mount.entry = tmpfs tmp tmpfs size=8m,mode=1777 0 0
lxc.init.cmd = /sbin/init --quiet
lxc.environment = A=b
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.net.0.type = veth
lxc.net.0.link = br0
lxc.net.0.flags = up
lxc.net.0.ipv4.address = 10.0.0.5/24
lxc.net.0.ipv4.gateway = 10.0.0.1
lxc.net.1.type = macvlan
lxc.net.1.link = eth0
lxc.net.1.macvlan.mode = bridge
lxc.cap.drop = mknod sys_time
lxc.cgroup2.memory.max = 64M
lxc.cgroup2.cpu.max = 5000 10000
lxc.cgroup2.io.max = 8:0 rbps=1000 wiops=max
lxc.cgroup.cpuset.cpus = 0-1
lxc.tty.max = 2
`;

export const lxcConfig: FuzzTarget = {
  name: 'lxc-config',
  seeds: () => [new TextEncoder().encode(config), ...seedsIn('.config', join(kit, 'conf2xml'))],
  run: (document) =>
    outcome(() => {
      const { domain } = fromLxcConfig(decoded(document), host);
      // What it became may still be no container that can run here.
      outcome(() => written(domain));
    }),
};
