import { VirtError } from '@virtbus/shared';
import { formatDomain, parseDomain } from '../parse-domain';
import type { LxcFacts } from './facts';
import { fromLxcConfig } from './from-config';
import { prepareLxcDomain } from './prepare';
import { toLxcConfig } from './to-config';

const emulator = '/usr/bin/lxc-start';
const uuid = '8369f1ac-7e46-e869-4ca5-759d51478066';
const root = 'lxc.rootfs.path = /srv/web\nlxc.uts.name = web\n';
const convert = (text: string) => fromLxcConfig(root + text, { emulator, newUuid: () => uuid });
const xmlOf = (text: string): string => formatDomain(convert(text).domain, { view: 'inactive' });

test('the old spelling and the new one mean the same', () => {
  const old = `lxc.utsname = web
lxc.rootfs = /srv/web
lxc.network.type = veth
lxc.network.link = br0
lxc.network.hwaddr = 52:54:00:aa:bb:cc
lxc.network.ipv4 = 10.0.0.5/24
lxc.network.type = empty
lxc.tty = 1
lxc.init_uid = 7
lxc.id_map = u 0 100000 65536
lxc.aa_profile = unconfined
`;
  const modern = `lxc.uts.name = web
lxc.rootfs.path = dir:/srv/web
lxc.net.0.type = veth
lxc.net.0.link = br0
lxc.net.0.hwaddr = 52:54:00:AA:BB:CC
lxc.net.0.ipv4.address = 10.0.0.5/24
lxc.net.1.type = empty
lxc.tty.max = 1
lxc.init.uid = 7
lxc.idmap = u 0 100000 65536
lxc.apparmor.profile = unconfined
`;
  const [a, b] = [old, modern].map((text) =>
    formatDomain(fromLxcConfig(text, { emulator, newUuid: () => uuid }).domain, { view: 'inactive' }),
  );
  expect(a).toBe(b);
  expect(a).toContain("<source bridge='br0'/>");
  expect(a).toContain("<seclabel type='none'/>");
});

test('an empty value takes back what was said before, and quotes around a value go', () => {
  const { domain } = convert(`lxc.environment = A=1
lxc.environment =
lxc.environment = "B=it's two words "
lxc.init.cmd = '/bin/sh -c true'`);
  expect(domain.os.initenvs).toEqual([{ name: 'B', value: "it's two words " }]);
  expect([domain.os.init, domain.os.initargs]).toEqual(['/bin/sh', ['-c', 'true']]);
});

test('limits of cgroup version 2 are read as those of version 1', () => {
  const first = xmlOf(`lxc.cgroup.memory.limit_in_bytes = 32M
lxc.cgroup.memory.memsw.limit_in_bytes = 48M
lxc.cgroup.cpu.shares = 512
lxc.cgroup.cpu.cfs_quota_us = 25000
lxc.cgroup.cpu.cfs_period_us = 50000
lxc.cgroup.cpuset.cpus = 0-1
lxc.cgroup.blkio.weight = 500
lxc.cgroup.blkio.throttle.read_bps_device = 8:16 1000
lxc.cgroup.blkio.throttle.write_iops_device = 8:16 50`);
  const second = xmlOf(`lxc.cgroup2.memory.max = 32M
lxc.cgroup2.memory.swap.max = 16M
lxc.cgroup2.cpu.weight = 50
lxc.cgroup2.cpu.max = 25000 50000
lxc.cgroup2.cpuset.cpus = 0-1
lxc.cgroup2.io.weight = default 500
lxc.cgroup2.io.max = 8:16 rbps=1000 wiops=50 wbps=max`);
  expect(second).toBe(first);
});

test('ids are the container’s first, unless that would give it the host’s root', () => {
  const { domain } = convert('lxc.idmap = u 0 100000 1000\nlxc.idmap = u 1000 1000 1\nlxc.idmap = g 100000 0 65536');
  expect(domain.idmap).toEqual({
    uids: [
      { start: 0, target: 100000, count: 1000 },
      { start: 1000, target: 1000, count: 1 },
    ],
    gids: [{ start: 0, target: 100000, count: 65536 }],
  });
});

test('what a document has no words for is warned of, with its line', () => {
  const { warnings } = convert(`lxc.autodev = 1
lxc.start.auto = 1
# a word
lxc.net.0.type = veth
lxc.net.0.script.up = /bin/x
lxc.mount.entry = /srv/a a none bind,noexec,optional 0 0
lxc.cgroup.devices.deny = a
lxc.cgroup.devices.allow = c 1:3 rwm
lxc.cgroup.devices.allow = c 254:0 rwm`);
  expect(warnings).toEqual([
    { line: 4, detail: "'lxc.start.auto' has no counterpart in a domain document" },
    { line: 7, detail: "'lxc.net.0.script.up' has no counterpart in a domain document" },
    { line: 8, detail: 'lxc.mount.entry: a document has no words for the options noexec,optional' },
    {
      line: 11,
      detail: "lxc.cgroup.devices.allow: 'c 254:0 rwm' is lost; name the device in a <hostdev mode='capabilities'>",
    },
  ]);
});

test.each([
  ['no root file system', 'lxc.uts.name = x', 'Missing lxc.rootfs.path configuration'],
  ['a line that says nothing', `${root}what is this`, "line 3: 'what is this' is no setting; expected 'key = value'"],
  ['mounts elsewhere', `${root}lxc.mount = /etc/fstab`, "write '/etc/fstab' as lxc.mount.entry lines"],
  [
    'a tmpfs of relative size',
    `${root}lxc.mount.entry = tmpfs run tmpfs size=10% 0 0`,
    "needs an absolute size, not '10%'",
  ],
  ['half a mount', `${root}lxc.mount.entry = /srv`, 'line 3: lxc.mount.entry: expected: SOURCE TARGET TYPE OPTIONS'],
  [
    'storage that is not here',
    'lxc.rootfs.path = overlay:/a:/b',
    "storage of type 'overlay' is not supported; it can be dir or loop",
  ],
  ['a relative root', 'lxc.rootfs.path = web', "'web' is no absolute path"],
  [
    'a network of another kind',
    `${root}lxc.net.0.type = ipvlan`,
    "network of type 'ipvlan' is not supported; it can be none, empty",
  ],
  ['a card without a link', `${root}lxc.net.0.type = macvlan`, "a network of type 'macvlan' needs a link"],
  [
    'an address that is none',
    `${root}lxc.net.0.type = veth\nlxc.net.0.ipv4.address = 1.2.3/8`,
    "line 4: lxc.net.0.ipv4.address: '1.2.3/8' is no address",
  ],
  ['a MAC address that is none', `${root}lxc.net.0.type = veth\nlxc.net.0.hwaddr = fe:xx`, "'fe:xx' is no MAC address"],
  ['a network without a number', `${root}lxc.net.type = veth`, 'expected lxc.net.NUMBER.SETTING'],
  [
    'an id map in other words',
    `${root}lxc.idmap = b 0 1 2`,
    "'b 0 1 2' does not say: u or g, id inside, id outside, count",
  ],
  ['a capability that nobody knows', `${root}lxc.cap.drop = fly`, "'fly' is no capability"],
  ['a size in words', `${root}lxc.cgroup.memory.limit_in_bytes = much`, "'much' is no size in bytes"],
  ['a set that is none', `${root}lxc.cgroup.cpuset.cpus = a-b`, "'a-b' is no set of numbers"],
  ['a quota in words', `${root}lxc.cgroup2.cpu.max = half`, "expected 'QUOTA PERIOD'"],
  [
    'a throttle without a device',
    `${root}lxc.cgroup.blkio.throttle.read_bps_device = 5`,
    'does not say MAJOR:MINOR VALUE',
  ],
  ['too many terminals', `${root}lxc.tty.max = 100000`, 'there can be 0 to 256'],
  ['an environment without a value', `${root}lxc.environment = PATH`, "'PATH' does not say NAME=VALUE"],
])('refuses %s', (_, text, words) => {
  let message = '';
  try {
    fromLxcConfig(text, { emulator });
  } catch (error) {
    if (!(error instanceof VirtError)) throw error;
    message = error.message;
  }
  expect(message).toContain(words);
});

test('a trunk that drops what has no tag is one without a native tag', () => {
  const lines = ['type = veth', 'link = br0', 'veth.vlan.id = none', 'veth.vlan.tagged.id = 9'];
  const { domain, warnings } = convert(lines.map((line) => `lxc.net.0.${line}\n`).join(''));
  expect(warnings).toEqual([]);
  expect(domain.devices.interfaces[0]!.vlan).toEqual({ trunk: true, tags: [{ id: 9 }] });
});

test.each([
  ['constructor = 1', "'constructor' has no counterpart"],
  ['__proto__ = 1', "'__proto__' has no counterpart"],
])('a key that objects have by themselves is no key of ours: %s', (line, words) => {
  expect(convert(line).warnings[0]?.detail).toContain(words);
});

test('values that objects have by themselves are not taken for known ones', () => {
  expect(convert('lxc.arch = constructor').domain.os.type?.arch).toBe('constructor');
  expect(() => convert('lxc.net.0.type = macvlan\nlxc.net.0.link = a\nlxc.net.0.macvlan.mode = __proto__')).toThrow(
    "macvlan has no mode '__proto__'",
  );
});

test('a block device that is read through a loop device is a block device', () => {
  const text = 'lxc.rootfs.path = loop:/dev/vg/root\nlxc.rootfs.options = ro';
  const [root] = fromLxcConfig(text, { emulator }).domain.devices.filesystems;
  expect(root).toMatchObject({ type: 'block', source: { dev: '/dev/vg/root' }, readonly: true });
});

test('all faults of a configuration are told at once', () => {
  expect(() => convert('lxc.tty.max = x\nlxc.cgroup2.memory.max = y')).toThrow(
    /line 3: lxc\.tty\.max: 'x' is no number; line 4: .*'y' is no size/,
  );
});

const there: LxcFacts = {
  cgroups: {
    versions: { memory: 1, cpu: 1, cpuset: 1, blkio: 1, devices: 1 },
    blkioWeight: 'blkio.weight',
    swap: true,
  },
  device: (path) => ({ kind: path.startsWith('/dev/sd') ? 'block' : 'char', major: 8, minor: 16 }),
};

test('a container comes back from its configuration as it went', () => {
  const xml = `<domain type='lxc' xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'>
  <name>web</name>
  <uuid>${uuid}</uuid>
  <memory unit='KiB'>65536</memory>
  <currentMemory unit='KiB'>65536</currentMemory>
  <blkiotune>
    <weight>500</weight>
    <device>
      <path>/dev/block/8:16</path>
      <read_bytes_sec>1000</read_bytes_sec>
    </device>
  </blkiotune>
  <memtune>
    <hard_limit unit='KiB'>65536</hard_limit>
    <soft_limit unit='KiB'>32768</soft_limit>
    <swap_hard_limit unit='KiB'>131072</swap_hard_limit>
  </memtune>
  <vcpu placement='static' cpuset='0-1'>1</vcpu>
  <cputune>
    <shares>512</shares>
    <period>50000</period>
    <quota>25000</quota>
  </cputune>
  <numatune>
    <memory mode='strict' nodeset='0'/>
  </numatune>
  <os>
    <type arch='x86_64'>exe</type>
    <init>/bin/app</init>
    <initarg>--port</initarg>
    <initenv name='GREETING'>it&apos;s &quot;me&quot; </initenv>
    <initdir>/srv/my app</initdir>
    <inituser>1000</inituser>
    <initgroup>1000</initgroup>
  </os>
  <idmap>
    <uid start='0' target='100000' count='65536'/>
    <gid start='0' target='200000' count='65536'/>
  </idmap>
  <features>
    <capabilities policy='allow'>
      <mknod state='off'/>
    </capabilities>
  </features>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>${emulator}</emulator>
    <filesystem type='mount' accessmode='passthrough'>
      <source dir='/srv/web'/>
      <target dir='/'/>
      <readonly/>
    </filesystem>
    <filesystem type='ram' accessmode='passthrough'>
      <source usage='64' units='KiB'/>
      <target dir='/tmp'/>
    </filesystem>
    <filesystem type='mount' accessmode='passthrough'>
      <source dir='/srv/my data'/>
      <target dir='/data'/>
      <readonly/>
    </filesystem>
    <filesystem type='bind' accessmode='passthrough'>
      <source dir='/data'/>
      <target dir='/var/data'/>
    </filesystem>
    <interface type='bridge'>
      <mac address='52:54:00:aa:bb:cc'/>
      <source bridge='br0'/>
      <vlan trunk='yes'>
        <tag id='7' nativeMode='untagged'/>
        <tag id='9'/>
      </vlan>
      <ip address='10.0.0.5' family='ipv4' prefix='24'/>
      <route family='ipv4' address='0.0.0.0' gateway='10.0.0.1'/>
      <target dev='web0'/>
      <guest dev='lan'/>
      <link state='up'/>
      <mtu size='1400'/>
    </interface>
    <interface type='direct'>
      <mac address='52:54:00:aa:bb:cd'/>
      <source dev='eth1' mode='bridge'/>
      <guest dev='eth7'/>
      <link state='down'/>
    </interface>
    <console type='pty'>
      <target type='lxc' port='0'/>
    </console>
    <console type='pty'>
      <target type='lxc' port='1'/>
    </console>
    <hostdev mode='capabilities' type='net'>
      <source>
        <interface>eth2</interface>
      </source>
    </hostdev>
    <hostdev mode='capabilities' type='storage'>
      <source>
        <block>/dev/sdb</block>
      </source>
    </hostdev>
    <hostdev mode='capabilities' type='misc'>
      <source>
        <char>/dev/rtc</char>
      </source>
    </hostdev>
  </devices>
  <seclabel type='static' model='selinux' relabel='no'>
    <label>u:r:t:s0</label>
  </seclabel>
  <lxc:namespace>
    <lxc:shareipc type='pid' value='77'/>
  </lxc:namespace>
</domain>
`;
  const { domain } = parseDomain(xml, { mode: 'inactive' });
  const config = toLxcConfig(prepareLxcDomain(domain, { emulator, arches: ['x86_64'] }), there);
  const back = fromLxcConfig(config, { emulator, newUuid: () => uuid });
  // Host devices stand behind the mounts that make them: their order among each other is all that is kept.
  expect(formatDomain(back.domain, { view: 'inactive' }).split('\n').sort()).toEqual(xml.split('\n').sort());
  expect(back.warnings).toEqual([]);
});
