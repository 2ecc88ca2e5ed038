import { VirtError } from '@virtbus/shared';
import { parseDomain } from '../parse-domain';
import type { LxcFacts } from './facts';
import { prepareLxcDomain } from './prepare';
import { toLxcConfig } from './to-config';
import { initWords } from './to-config/init';

const host = { emulator: '/usr/bin/lxc-start', arches: ['x86_64', 'i686'] };
const controllers = ['memory', 'cpu', 'cpuset', 'blkio', 'devices', 'pids', 'freezer', 'cpuacct'] as const;
const versions = (version: 1 | 2) => Object.fromEntries(controllers.map((name) => [name, version]));
const v1: LxcFacts = { cgroups: { versions: versions(1), blkioWeight: 'blkio.bfq.weight', swap: true } };
const v2: LxcFacts = { cgroups: { versions: versions(2), blkioWeight: 'io.weight', swap: true } };

/** Everything beside the devices must come before them, as libvirt's schema does not ask but people do. */
const document = ({ head = '', os = '<init>/sbin/init</init>', devices = '' } = {}): string =>
  `<domain type='lxc' xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'>
<name>web</name><uuid>8369f1ac-7e46-e869-4ca5-759d51478066</uuid><memory unit='MiB'>64</memory>
<os><type>exe</type>${os}</os>
${head}
<devices><filesystem><source dir='/srv/web'/><target dir='/'/></filesystem>
${devices}</devices></domain>`;

const read = (parts?: Parameters<typeof document>[0]) =>
  prepareLxcDomain(parseDomain(document(parts), { mode: 'inactive' }).domain, host, { newMac: () => '52:54:00:0:0:1' });

const linesOf = (parts: Parameters<typeof document>[0], facts: LxcFacts = v1): string[] =>
  toLxcConfig(read(parts), facts).split('\n');

/** Lines with one of these keys, without `lxc.`. */
const about = (parts: Parameters<typeof document>[0], keys: RegExp, facts?: LxcFacts): string[] =>
  linesOf(parts, facts)
    .filter((line) => keys.test(line))
    .map((line) => line.slice('lxc.'.length));

/** The words in which something is refused. */
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof VirtError) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
}

test('a container without wishes gets its own root, the network of its host, and what keeps it inside', () => {
  expect(linesOf({}).filter((line) => !line.includes('.devices.'))).toEqual([
    'lxc.uts.name = web',
    'lxc.arch = x86_64',
    'lxc.rootfs.path = dir:/srv/web',
    'lxc.mount.auto = proc:mixed sys:ro cgroup:mixed',
    'lxc.autodev = 1',
    'lxc.init.cmd = /sbin/init',
    'lxc.environment = PATH=/sbin:/usr/sbin:/bin:/usr/bin',
    'lxc.environment = TERM=linux',
    'lxc.environment = container_uuid=8369f1ac-7e46-e869-4ca5-759d51478066',
    'lxc.environment = LIBVIRT_LXC_UUID=8369f1ac-7e46-e869-4ca5-759d51478066',
    'lxc.environment = LIBVIRT_LXC_NAME=web',
    'lxc.console.path = none',
    'lxc.tty.max = 0',
    'lxc.pty.max = 1024',
    'lxc.net.0.type = none',
    'lxc.cap.drop = audit_control mac_admin mac_override mknod net_admin sys_module sys_rawio sys_time',
    'lxc.cgroup.memory.limit_in_bytes = 67108864',
    '',
  ]);
});

test('init has its words, folder, ids and environment', () => {
  const os = `<init>/bin/app</init><initarg>--port</initarg><initarg>80</initarg><initenv name='GREETING'>it's "me"</initenv>
    <initdir>/srv/my app</initdir><inituser>tester</inituser><initgroup>+7</initgroup>`;
  expect(about({ os }, /init|GREETING/, { ...v1, ids: { uid: 1000 } })).toEqual([
    'init.cmd = /bin/app --port 80',
    'init.cwd = /srv/my app',
    'init.uid = 1000',
    'init.gid = 7',
    'environment = GREETING=it\'s "me"',
  ]);
});

test('words that liblxc would split are left to the command line of lxc-start', () => {
  const os = '<init>/bin/sh</init><initarg>-c</initarg><initarg>echo two words</initarg>';
  expect(about({ os }, /init/, { ...v1, command: 'arguments' })).toEqual([]);
  expect(initWords(read({ os }))).toEqual(['/bin/sh', '-c', 'echo two words']);
  expect(refusal(() => linesOf({ os }))).toContain('put the command into a script');
});

test('file systems are mounted below the root, with their names escaped as in fstab', () => {
  const devices = `
    <filesystem type='mount'><source dir='/srv/my data'/><target dir='/data'/><readonly/></filesystem>
    <filesystem type='mount'><source dir='/etc/resolv.conf'/><target dir='/etc/resolv.conf'/></filesystem>
    <filesystem type='bind'><source dir='/data'/><target dir='/var/data'/></filesystem>
    <filesystem type='ram'><source usage='8' units='MiB'/><target dir='/tmp'/></filesystem>
    <filesystem type='file'><source file='/srv/more.img'/><target dir='/more'/></filesystem>
    <filesystem type='mount'><source dir='/srv/apart'/><target dir='/apart'/></filesystem>`;
  const facts: LxcFacts = {
    ...v1,
    isFile: (path) => path === '/etc/resolv.conf',
    mounted: (source) => (source === '/srv/more.img' ? '/run/more' : undefined),
    folder: (path) => (path === '/srv/apart' ? '/run/apart' : undefined),
  };
  expect(about({ devices }, /mount\.entry/, facts)).toEqual([
    'mount.entry = /srv/my\\040data data none bind,ro,create=dir 0 0',
    'mount.entry = /etc/resolv.conf etc/resolv.conf none bind,create=file 0 0',
    'mount.entry = data var/data none bind,relative,create=dir 0 0',
    'mount.entry = tmpfs tmp tmpfs size=8388608,mode=1777,nosuid,nodev,create=dir 0 0',
    'mount.entry = /run/more more none bind,create=dir 0 0',
    'mount.entry = /run/apart apart none bind,create=dir 0 0',
  ]);
});

test('what is bound within the root is what the driver says it leads to', () => {
  const devices = "<filesystem type='bind'><source dir='/link'/><target dir='/second'/></filesystem>";
  const facts: LxcFacts = {
    ...v1,
    inside: (path) => ({ source: `run/whole${path}`, isFile: true }),
    isFile: () => false,
  };
  expect(about({ devices }, /mount\.entry/, facts)).toEqual([
    'mount.entry = run/whole/link second none bind,create=file 0 0',
  ]);
  // Of the host's folder with the same name nothing is to be known.
  expect(about({ devices }, /mount\.entry/, { ...v1, isFile: () => true })).toEqual([
    'mount.entry = link second none bind,relative,create=dir 0 0',
  ]);
});

test.each([
  ["type='file'><source file='/srv/root.img'/>", ['rootfs.path = loop:/srv/root.img']],
  ["type='block'><source dev='/dev/vg/root'/>", ['rootfs.path = loop:/dev/vg/root']],
  ["type='mount'><readonly/><source dir='/srv/web'/>", ['rootfs.path = dir:/srv/web', 'rootfs.options = ro']],
])('a root file system of %s', (root, lines) => {
  const xml = document().replace("><source dir='/srv/web'/>", ` ${root}`);
  const domain = prepareLxcDomain(parseDomain(xml, { mode: 'inactive' }).domain, host);
  expect(toLxcConfig(domain, v1).match(/rootfs.*/g)).toEqual(lines);
});

test('cards have their bridge, names and addresses; a card of the host moves in', () => {
  const devices = `
    <interface type='bridge'><mac address='52:54:00:aa:bb:cc'/><source bridge='br0'/><target dev='web0'/><guest dev='lan'/>
      <mtu size='1400'/><ip address='10.0.0.5' family='ipv4' prefix='24'/><ip address='fd00::5' family='ipv6'/>
      <route family='ipv4' address='0.0.0.0' gateway='10.0.0.1'/></interface>
    <interface type='bridge'><source bridge='virbr0'/><link state='down'/><vlan><tag id='7'/></vlan></interface>
    <interface type='direct'><source dev='eth1' mode='passthrough'/></interface>
    <interface type='ethernet'/>
    <hostdev mode='capabilities' type='net'><source><interface>eth2</interface></source></hostdev>`;
  const net = about({ devices }, /net\./).map((line) => line.slice('net.'.length));
  expect(net.filter((line) => !line.includes('hwaddr') || line.startsWith('0'))).toEqual([
    '0.type = veth',
    '0.link = br0',
    '0.veth.pair = web0',
    '0.flags = up',
    '0.name = lan',
    '0.hwaddr = 52:54:00:aa:bb:cc',
    '0.mtu = 1400',
    '0.ipv4.address = 10.0.0.5/24',
    '0.ipv6.address = fd00::5/64',
    '0.ipv4.gateway = 10.0.0.1',
    '1.type = veth',
    '1.link = virbr0',
    '1.veth.vlan.id = 7',
    '1.name = eth1',
    '2.type = macvlan',
    '2.link = eth1',
    '2.macvlan.mode = passthru',
    '2.flags = up',
    '2.name = eth0',
    '3.type = veth',
    '3.flags = up',
    '3.name = eth3',
    '4.type = phys',
    '4.link = eth2',
    '4.flags = up',
  ]);
});

test.each([
  ["<vlan><tag id='7'/></vlan>", ['id = 7']],
  ["<vlan trunk='yes'><tag id='7' nativeMode='untagged'/><tag id='8'/></vlan>", ['id = 7', 'tagged.id = 8']],
  ["<vlan trunk='yes'><tag id='7'/><tag id='8'/></vlan>", ['id = none', 'tagged.id = 7', 'tagged.id = 8']],
])('tags of the end on a bridge: %s', (vlan, lines) => {
  const devices = `<interface type='bridge'><source bridge='br0'/>${vlan}</interface>`;
  expect(about({ devices }, /vlan/).map((line) => line.slice('net.0.veth.vlan.'.length))).toEqual(lines);
});

test('two native tags are refused', () => {
  const tags = [7, 8].map((id) => `<tag id='${id}' nativeMode='untagged'/>`).join('');
  const devices = `<interface type='bridge'><source bridge='br0'/><vlan trunk='yes'>${tags}</vlan></interface>`;
  expect(refusal(() => linesOf({ devices }))).toContain('only one <tag> can be native: 7 or 8');
});

test.each([
  [
    ['', ''],
    ['eth0', 'eth1'],
  ],
  [
    ['eth1', '', ''],
    ['eth1', 'eth0', 'eth2'],
  ],
  [
    ['lan', ''],
    ['lan', 'eth1'],
  ],
  // A card of the host keeps its name.
  [
    ['', '', 'host:eth0'],
    ['eth2', 'eth1'],
  ],
])('cards that say %j are called %j inside', (said, called) => {
  const devices = said.map((name) =>
    name.startsWith('host:')
      ? `<hostdev mode='capabilities' type='net'><source><interface>${name.slice(5)}</interface></source></hostdev>`
      : `<interface type='ethernet'>${name && `<guest dev='${name}'/>`}</interface>`,
  );
  const names = about({ devices: devices.join('') }, /\.name = /).filter((line) => line.startsWith('net'));
  expect(names.map((line) => line.split(' = ')[1])).toEqual(called);
});

test('a network of its own, or somebody else’s', () => {
  expect(about({ head: '<features><privnet/></features>' }, /net|cap/)).toEqual([
    'net.0.type = empty',
    'cap.drop = audit_control mac_admin mac_override mknod sys_module sys_rawio sys_time',
  ]);
  const head = `<lxc:namespace><lxc:sharenet type='netns' value='red'/><lxc:shareipc type='pid' value='77'/>
    <lxc:shareuts type='name' value='db'/></lxc:namespace>`;
  expect(about({ head }, /net|share|uts/, { ...v1, initPid: () => 4711 })).toEqual([
    'namespace.share.net = /run/netns/red',
    'namespace.share.ipc = 77',
    'namespace.share.uts = 4711',
  ]);
  const namespace = (kind: string): string | undefined => (kind === 'uts' ? '/run/held' : undefined);
  expect(about({ head }, /share/, { ...v1, initPid: () => 4711, namespace }).at(-1)).toBe(
    'namespace.share.uts = /run/held',
  );
  expect(refusal(() => linesOf({ head }, { ...v1, initPid: () => undefined, namespace }))).toContain('does not run');
});

const limits = `<memtune><hard_limit unit='MiB'>32</hard_limit><soft_limit unit='MiB'>16</soft_limit>
    <swap_hard_limit unit='MiB'>48</swap_hard_limit></memtune>
  <blkiotune><weight>500</weight><device><path>/dev/block/8:16</path><weight>300</weight>
    <read_bytes_sec>1000</read_bytes_sec></device></blkiotune>
  <vcpu cpuset='0-1'>2</vcpu><numatune><memory mode='strict' nodeset='0'/></numatune>
  <cputune><shares>512</shares><period>50000</period><quota>25000</quota></cputune>`;

test('limits go where the controllers are', () => {
  const cgroup = (facts: LxcFacts): string[] =>
    about({ head: limits }, /^lxc\.cgroup/, { ...facts, pidsMax: 99 }).filter((line) => !line.includes('devices'));
  expect(cgroup(v1)).toEqual([
    'cgroup.memory.limit_in_bytes = 33554432',
    'cgroup.memory.soft_limit_in_bytes = 16777216',
    'cgroup.memory.memsw.limit_in_bytes = 50331648',
    'cgroup.cpu.shares = 512',
    'cgroup.cpu.cfs_period_us = 50000',
    'cgroup.cpu.cfs_quota_us = 25000',
    'cgroup.cpuset.cpus = 0-1',
    'cgroup.cpuset.mems = 0',
    'cgroup.blkio.bfq.weight = 500',
    'cgroup.blkio.bfq.weight_device = 8:16 300',
    'cgroup.blkio.throttle.read_bps_device = 8:16 1000',
    'cgroup.pids.max = 99',
  ]);
  expect(cgroup(v2)).toEqual([
    'cgroup2.memory.max = 33554432',
    'cgroup2.memory.high = 16777216',
    'cgroup2.memory.swap.max = 16777216',
    'cgroup2.cpu.weight = 50',
    'cgroup2.cpu.max = 25000 50000',
    'cgroup2.cpuset.cpus = 0-1',
    'cgroup2.cpuset.mems = 0',
    'cgroup2.io.weight = 500',
    'cgroup2.io.weight = 8:16 300',
    'cgroup2.io.max = 8:16 rbps=1000',
    'cgroup2.pids.max = 99',
  ]);
});

test.each([
  [
    'default',
    "<mknod state='on'/><chown state='off'/>",
    'drop = audit_control chown mac_admin mac_override sys_module',
  ],
  ['allow', "<chown state='off'/>", 'drop = chown'],
  ['allow', '', undefined],
  ['deny', "<chown state='on'/>", 'keep = chown'],
  ['deny', '', 'keep = none'],
])('capabilities of policy %s with %s', (policy, states, expected) => {
  const head = `<features><privnet/><capabilities policy='${policy}'>${states}</capabilities></features>`;
  const [line] = about({ head }, /cap\./);
  if (expected === undefined) expect(line).toBeUndefined();
  else expect(line).toMatch(new RegExp(`^cap\\.${expected}`));
});

test('ids are mapped, and the root file system with them when its files are the host’s', () => {
  const head = `<idmap><uid start='0' target='100000' count='65536'/><gid start='0' target='200000' count='65536'/></idmap>`;
  expect(about({ head }, /idmap|mount\.auto/, { ...v1, idmapRoot: true })).toEqual([
    'rootfs.options = idmap=container',
    'mount.auto = proc:mixed cgroup:mixed',
    'idmap = u 0 100000 65536',
    'idmap = g 0 200000 65536',
  ]);
});

test('who may not mount sysfs has a place for the hierarchy of version 2, which liblxc does not make', () => {
  const head = `<idmap><uid start='0' target='100000' count='65536'/><gid start='0' target='200000' count='65536'/></idmap>`;
  const options = 'size=64k,mode=755,nosuid,nodev,noexec,create=dir 0 0';
  expect(about({ head }, /mount\./, v2)).toEqual([
    'mount.auto = proc:mixed cgroup:mixed',
    `mount.entry = tmpfs sys tmpfs ${options}`,
    `mount.entry = tmpfs sys/fs/cgroup tmpfs ${options}`,
  ]);
  const own = `${head}<features><privnet/></features>`;
  expect(about({ head: own }, /mount\./, v2)).toEqual(['mount.auto = proc:mixed sys:ro cgroup:mixed']);
});

test.each([
  ['', { ...v1, apparmor: true }, ['apparmor.profile = generated']],
  ["<seclabel type='none'/>", { ...v1, apparmor: true }, ['apparmor.profile = unconfined']],
  ["<seclabel type='none'/>", v1, []],
  [
    "<seclabel type='static' model='apparmor' relabel='no'><label>tight</label></seclabel>",
    { ...v1, apparmor: true },
    ['apparmor.profile = tight'],
  ],
  [
    "<seclabel type='static' model='selinux' relabel='no'><label>u:r:t:s0</label></seclabel>",
    v1,
    ['selinux.context = u:r:t:s0'],
  ],
])('label %s', (label, facts, lines) => {
  const xml = document().replace('</devices>', `</devices>${label}`);
  const domain = prepareLxcDomain(parseDomain(xml, { mode: 'inactive' }).domain, host);
  const found = toLxcConfig(domain, facts).match(/(apparmor|selinux).*/g) ?? [];
  expect(found).toEqual(lines);
});

test('a container that is to be confined does not run where nothing can confine it', () => {
  const xml = document().replace('</devices>', "</devices><seclabel type='dynamic' model='apparmor' relabel='yes'/>");
  const domain = prepareLxcDomain(parseDomain(xml, { mode: 'inactive' }).domain, host);
  expect(refusal(() => toLxcConfig(domain, v1))).toContain('this host does not run AppArmor');
});

test('a device of the host is seen in the container and may be used there', () => {
  const devices = `<disk type='block'><source dev='/dev/sdb'/><target dev='sda'/><readonly/></disk>
    <hostdev mode='capabilities' type='storage'><source><block>/dev/sdb</block></source></hostdev>
    <hostdev mode='capabilities' type='misc'><source><char>/dev/rtc</char></source></hostdev>`;
  const device: LxcFacts['device'] = (path) =>
    path === '/dev/sdb' ? { kind: 'block', major: 8, minor: 16 } : { kind: 'char', major: 254, minor: 0 };
  const lines = about({ devices }, /devices|mount\.entry/, { ...v2, device });
  expect(lines[0]).toBe('cgroup2.devices.deny = a');
  expect(lines.slice(-6)).toEqual([
    'cgroup2.devices.allow = b 8:16 rwm',
    'mount.entry = /dev/sdb dev/sdb none bind,create=file 0 0',
    'cgroup2.devices.allow = c 254:0 rwm',
    'mount.entry = /dev/rtc dev/rtc none bind,create=file 0 0',
    'cgroup2.devices.allow = b 8:16 rm',
    'mount.entry = /dev/sdb dev/sda none bind,ro,create=file 0 0',
  ]);
});

test('the driver adds settings, and its values are watched over like all others', () => {
  const entries = [['lxc.hook.version', '1']] as const;
  expect(linesOf({}, { ...v1, entries }).at(-2)).toBe('lxc.hook.version = 1');
  expect(() => linesOf({}, { ...v1, entries: [['lxc.hook.stop', 'a\nb']] })).toThrow('line break');
  expect(() => linesOf({}, { ...v1, entries: [['lxc.a = 1\nlxc.b', '1']] })).toThrow('is no key of liblxc');
});

const nowhere: LxcFacts = { cgroups: { versions: {}, swap: false } };
test.each<[string, Parameters<typeof document>[0], LxcFacts, string]>([
  [
    'a variable with a line break',
    { os: "<init>/i</init>\n<initenv name='A'>1\nlxc.rootfs.path = /</initenv>" },
    v1,
    'line 4: a line break',
  ],
  [
    'a name of a variable with =',
    { os: "<init>/i</init><initenv name='A=B'>1</initenv>" },
    v1,
    "'A=B' cannot be the name",
  ],
  [
    'a limit without its controller',
    { head: '<cputune><shares>5</shares></cputune>' },
    nowhere,
    'line 4: this host cannot do that: cgroup cpu controller is not mounted',
  ],
  [
    'swap that is not counted',
    { head: "<memtune><swap_hard_limit unit='GiB'>1</swap_hard_limit></memtune>" },
    { cgroups: { ...v1.cgroups, swap: false } },
    'does not count swap',
  ],
  ['swap below memory', { head: '<memtune><swap_hard_limit>1</swap_hard_limit></memtune>' }, v1, 'cannot be below'],
  [
    'a weight that the kernel has not',
    { head: '<blkiotune><weight>5</weight></blkiotune>' },
    { cgroups: { versions: versions(1), swap: true } },
    'no weights for block I/O',
  ],
  [
    'a device that is not there',
    { devices: "<hostdev mode='capabilities' type='misc'><source><char>/dev/x</char></source></hostdev>" },
    v1,
    "line 6: the host has no device '/dev/x'",
  ],
  [
    'a route elsewhere',
    { devices: "<interface type='ethernet'><route address='10.1.0.0' prefix='16' gateway='10.0.0.1'/></interface>" },
    v1,
    'default route only',
  ],
  [
    'an address that is none',
    { devices: "<interface type='ethernet'><ip address='10.0.0.5/24\nx'/></interface>" },
    v1,
    'is no internet address',
  ],
  [
    'a bridge with an impossible name',
    { devices: "<interface type='bridge'><source bridge='a/b'/></interface>" },
    v1,
    "'a/b' is no name of a network interface",
  ],
  [
    'a user whom nobody knows',
    { os: '<init>/i</init><inituser>joe</inituser>' },
    v1,
    "<inituser> 'joe' is not known inside the container; give its number",
  ],
  [
    'an address with a peer',
    {
      devices:
        "<interface type='bridge'><source bridge='b'/><ip address='10.0.0.1' family='ipv4' peer='10.0.0.2'/></interface>",
    },
    v1,
    'liblxc sets no <ip peer>',
  ],
  [
    'a route with a metric',
    {
      devices:
        "<interface type='bridge'><source bridge='b'/><route family='ipv4' address='0.0.0.0' gateway='10.0.0.1' metric='2'/></interface>",
    },
    v1,
    'liblxc sets no <route metric>',
  ],
  [
    'an image that was not made ready',
    { devices: "<filesystem type='file'><source file='/x'/><target dir='/y'/></filesystem>" },
    v1,
    'cannot mount it below the root',
  ],
  [
    'a namespace that is a path',
    { head: "<lxc:namespace><lxc:sharenet type='netns' value='../1/ns/net'/></lxc:namespace>" },
    v1,
    'is no name of a network namespace',
  ],
  [
    'a container that is a path',
    { head: "<lxc:namespace><lxc:sharenet type='name' value='/proc/1/ns/net'/></lxc:namespace>" },
    v1,
    "'/proc/1/ns/net' is no name of a container",
  ],
  [
    'a container that does not run',
    { head: "<lxc:namespace><lxc:shareuts type='name' value='db'/></lxc:namespace>" },
    { ...v1, initPid: () => undefined },
    "container 'db' does not run",
  ],
])('refuses %s', (_, parts, facts, words) => {
  expect(refusal(() => linesOf(parts, facts))).toContain(words);
});
