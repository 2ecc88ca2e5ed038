import { VirtError } from '@virtbus/shared';
import { formatDomain, parseDomain } from '../parse-domain';
import { lxcDomainCapabilities } from './capabilities';
import { parseDevice, removeDevice } from '../device';
import { plugLxcDevice, prepareLxcDomain } from './prepare';

const host = { emulator: '/usr/bin/lxc-start', arches: ['x86_64', 'i686'] };
const rootfs = "<filesystem><source dir='/srv/web'/><target dir='/'/></filesystem>";
const tun = "<hostdev mode='capabilities' type='misc'><source><char>/dev/net/tun</char></source></hostdev>";
const sda = "<hostdev mode='capabilities' type='storage'><source><block>/dev/sda</block></source></hostdev>";
const disk = (target: string): string =>
  `<disk type='block'><source dev='/dev/vdz'/><target dev='${target}' bus='scsi'/></disk>`;

const prepared = (head: string, devices = rootfs, os = '<type>exe</type><init>/sbin/init</init>', type = 'lxc') => {
  const xml = `<domain type='${type}' xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'><name>web</name>
<memory>65536</memory><os>${os}</os>
${head}
<devices>
${devices}
</devices></domain>`;
  return prepareLxcDomain(parseDomain(xml, { mode: 'inactive' }).domain, host);
};

test('a short document is completed as libvirt does', () => {
  const xml = formatDomain(prepared('', `${rootfs}<console type='pty'/>`), { view: 'inactive' });
  expect(xml).toContain("<type arch='x86_64'>exe</type>");
  expect(xml).toContain('<emulator>/usr/bin/lxc-start</emulator>');
  expect(xml).toContain("<filesystem type='mount' accessmode='passthrough'>");
  expect(xml).toContain("<target type='lxc' port='0'/>");
});

test('a disk is a device file: no controller is made up for it', () => {
  const { devices } = prepared('', `${rootfs}<disk type='block'><source dev='/dev/sdb'/><target dev='sda'/></disk>`);
  expect(devices.controllers).toEqual([]);
  expect(devices.disks[0]?.address).toBeUndefined();
});

test.each([
  ['another type', ['', rootfs, undefined, 'kvm'], "a domain of type 'kvm' is no container; expected 'lxc'"],
  ['another kind of guest', ['', rootfs, '<type>hvm</type><init>/i</init>'], "must be 'exe', not 'hvm'"],
  ['no init', ['', rootfs, '<type>exe</type>'], 'init binary must be specified'],
  ['a relative init', ['', rootfs, '<type>exe</type><init>init</init>'], "init 'init' must be an absolute path"],
  [
    'foreign programs',
    ['', rootfs, "<type arch='s390x'>exe</type><init>/i</init>"],
    'programs for s390x do not run here; this host runs x86_64, i686',
  ],
  ['no root', ['', ''], 'line 4: there is no <filesystem> with target dir='],
  [
    'a quota on a folder',
    [
      '',
      `${rootfs}<filesystem><source dir='/a'/><target dir='/a'/><space_hard_limit>9</space_hard_limit></filesystem>`,
    ],
    "<space_hard_limit> cannot be kept on a filesystem of type 'mount'",
  ],
  [
    'an end that is none',
    ['<on_poweroff>restart</on_poweroff>'],
    "<on_poweroff> 'restart' is not supported for containers",
  ],
  ['two roots', ['', rootfs + rootfs], "two filesystems have the target '/'"],
  ['a device of the host twice', ['', rootfs + tun + tun], "two devices have the place '/dev/net/tun'"],
  ['a disk where a device of the host is', ['', rootfs + sda + disk('sda')], "two devices have the place '/dev/sda'"],
  [
    'a root in memory',
    ['', "<filesystem type='ram'><source usage='1'/><target dir='/'/></filesystem>"],
    'cannot be in memory',
  ],
  [
    'memory of no size',
    ['', `${rootfs}<filesystem type='ram'><target dir='/t'/></filesystem>`],
    "needs <source usage='…'>",
  ],
  [
    'a way out',
    ['', `${rootfs}<filesystem><source dir='/a'/><target dir='/../b'/></filesystem>`],
    "must be an absolute path without '..'",
  ],
  [
    'a file system without a source',
    ['', `${rootfs}<filesystem><target dir='/b'/></filesystem>`],
    "missing source of a filesystem of type 'mount'",
  ],
  [
    'a template',
    ['', `${rootfs}<filesystem type='template'><source name='x'/><target dir='/b'/></filesystem>`],
    "filesystem type 'template' is not supported for containers; it can be mount, bind, block, file, ram",
  ],
  [
    'an access mode',
    ['', `${rootfs}<filesystem accessmode='mapped'><source dir='/a'/><target dir='/b'/></filesystem>`],
    "access mode 'mapped' is not supported",
  ],
  [
    'ids without 0',
    ["<idmap><uid start='1' target='5' count='9'/><gid start='0' target='5' count='9'/></idmap>"],
    "must map uid 0: a <uid> with start='0' is missing",
  ],
  [
    'ids that overlap',
    [
      "<idmap><uid start='0' target='5' count='9'/><uid start='4' target='50' count='9'/><gid start='0' target='5' count='9'/></idmap>",
    ],
    '<idmap> maps uid 4 twice',
  ],
  [
    'a card of another type',
    ['', `${rootfs}<interface type='user'/>`],
    "interface type 'user' is not supported for containers; it can be bridge",
  ],
  [
    'a card twice',
    [
      '',
      `${rootfs}<interface type='ethernet'><target dev='a0'/></interface><interface type='ethernet'><target dev='a0'/></interface>`,
    ],
    "two interfaces have the target 'a0'",
  ],
  [
    "addresses of the host's end",
    ['', `${rootfs}<interface type='ethernet'><source><ip address='10.0.0.1'/></source></interface>`],
    'give them to a bridge',
  ],
  [
    'a bandwidth',
    ['', `${rootfs}<interface type='ethernet'><bandwidth><inbound average='1'/></bandwidth></interface>`],
    '<bandwidth> is not supported for containers',
  ],
  [
    'cards in a shared network',
    [
      "<lxc:namespace><lxc:sharenet type='netns' value='red'/></lxc:namespace>",
      `${rootfs}<interface type='ethernet'/>`,
    ],
    'cannot have network cards of its own',
  ],
  [
    'a PCI device',
    [
      '',
      `${rootfs}<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='1' slot='2' function='0'/></source></hostdev>`,
    ],
    "by mode='capabilities', not 'subsystem'",
  ],
  [
    'a device without a name',
    ['', `${rootfs}<hostdev mode='capabilities' type='misc'><source/></hostdev>`],
    "missing source of hostdev type 'misc'",
  ],
  [
    'an image as a disk',
    ['', `${rootfs}<disk type='file'><source file='/a'/><target dev='sda'/></disk>`],
    'an image is a <filesystem>',
  ],
  ['a console elsewhere', ['', `${rootfs}<console type='unix'><source path='/a'/></console>`], "must be of type 'pty'"],
  [
    'a screen',
    ['', `${rootfs}\n<video><model type='vga'/></video>`],
    'line 6: <video> is not supported for containers; remove it',
  ],
  ['hardware features', ['<features><acpi/></features>'], '<acpi> is not supported for containers'],
  [
    'a kernel',
    ['', rootfs, '<type>exe</type><init>/i</init><kernel>/k</kernel>'],
    '<kernel> is not supported for containers',
  ],
  ['a CPU model', ["<cpu mode='host-model'/>"], '<cpu> is not supported for containers'],
  [
    'threads of a hypervisor',
    ['<cputune><emulatorpin cpuset="0"/></cputune>'],
    '<emulatorpin> is not supported for containers',
  ],
  [
    'a guarantee of memory',
    ['<memtune><min_guarantee>1</min_guarantee></memtune>'],
    '<min_guarantee> is not supported for containers',
  ],
  ['a clock of its own', ["<clock offset='localtime'/>"], "a container has its host's clock: offset 'localtime'"],
  [
    'memory bound at will',
    ["<numatune><memory mode='preferred' nodeset='0'/></numatune>"],
    "is bound with mode='strict' and a nodeset",
  ],
  ['automatic CPUs', ["<vcpu placement='auto'>1</vcpu>"], 'CPUs are not chosen by themselves'],
  [
    'a qcow2 image',
    [
      '',
      `${rootfs}<filesystem type='file'><driver type='nbd' format='qcow2'/><source file='/a'/><target dir='/b'/></filesystem>`,
    ],
    "must be raw, not 'qcow2' by 'nbd'",
  ],
  [
    'tags on a direct card',
    ['', `${rootfs}<interface type='direct'><source dev='eth0' mode='bridge'/><vlan><tag id='5'/></vlan></interface>`],
    'tags are set on the end of a bridge',
  ],
  [
    'tags on a card that is on no bridge',
    ['', `${rootfs}<interface type='ethernet'><vlan><tag id='5'/></vlan></interface>`],
    "<interface type='ethernet'> has none",
  ],
  [
    'a model of a card',
    ['', `${rootfs}<interface type='ethernet'><model type='virtio'/></interface>`],
    '<model> is not supported for containers',
  ],
] as [string, Parameters<typeof prepared>, string][])('refuses %s', (_, parts, words) => {
  let message = '';
  try {
    prepared(...parts);
  } catch (error) {
    if (!(error instanceof VirtError)) throw error;
    message = error.message;
  }
  expect(message).toContain(words);
});

test('faults are told together', () => {
  expect(() => prepared('<features><acpi/></features>', '<video/>', '<type>exe</type>')).toThrow(
    /init binary.*no <filesystem>.*<acpi>.*<video>/,
  );
});

test('a device that is plugged is complete, and nothing else is changed', () => {
  const running = prepared('');
  const card = parseDevice("<interface type='bridge'><source bridge='br0'/></interface>");
  const { domain, device } = plugLxcDevice(running, card, host, { newMac: () => '52:54:00:00:00:01' });
  expect(device.value).toMatchObject({ mac: { address: '52:54:00:00:00:01' }, alias: { name: 'net0' } });
  expect(removeDevice(domain, device).devices.interfaces).toEqual([]);
  expect(() => plugLxcDevice(domain, parseDevice("<watchdog model='itco'/>"), host)).toThrow(
    '<watchdog> is not supported for containers',
  );
});

test('no device is plugged where another is', () => {
  const { domain } = plugLxcDevice(prepared('', rootfs + disk('sda')), parseDevice(tun), host);
  expect(() => plugLxcDevice(domain, parseDevice(tun), host)).toThrow("the place '/dev/net/tun'");
  expect(() => plugLxcDevice(domain, parseDevice(sda), host)).toThrow("the place '/dev/sda'");
  expect(plugLxcDevice(domain, parseDevice(disk('sdb')), host).domain.devices.disks).toHaveLength(2);
});

test('what a host offers depends on its controllers and labels', () => {
  const capabilities = {
    ...host,
    version: 5_000_002,
    cgroups: { versions: { memory: 2, cpu: 2 }, swap: true },
    apparmor: true,
    selinux: false,
    seccomp: true,
  } as const;
  const document = lxcDomainCapabilities(capabilities, 'i686');
  expect(document).toMatchObject({
    path: '/usr/bin/lxc-start',
    arch: 'i686',
    limits: { memtune: true, swap: true, cputune: true, vcpuCpuset: false, numatune: false, blkiotune: false },
    seclabels: ['none', 'apparmor'],
  });
  expect(document?.devices['interface']?.enums).toEqual({ type: ['bridge', 'ethernet', 'direct'] });
  expect(lxcDomainCapabilities(capabilities, 's390x')).toBeUndefined();
});
