/** What a document's command line says, read back: the same guest, to the word. */
import type { MachineType, QemuCapabilities } from '../capabilities';
import { parseDomain } from '../parse-domain';
import { prepareDomain } from '../passes/prepare';
import { buildCommandLine, prepareForStart, type CommandLineContext } from '../qemu';
import { domainFromQemuArgv } from './from-argv';
import { formatInvocation } from './shell';
import type { Domain } from '../elements/domain';

const emulator = '/usr/bin/qemu-system-x86_64';

const machine = (name: string): MachineType => ({
  name,
  maxCpus: 255,
  defaultCpu: 'qemu64-x86_64-cpu',
  defaultRamId: 'pc.ram',
  hotplugCpus: true,
  numaMemSupported: false,
  isDefault: name === 'pc',
  deprecated: false,
});

const capabilities: QemuCapabilities = {
  emulator,
  version: 7002022,
  package: '',
  arch: 'x86_64',
  flags: new Set(
    'device.json+hotplug netdev.json piix3-usb-uhci qemu-xhci pci-bridge pcie-pci-bridge virtio-scsi-pci virtio-vga cirrus-vga usb-ehci ich9-usb-ehci1'.split(
      ' ',
    ),
  ),
  accelerators: { tcg: { machines: [machine('pc'), machine('q35')], cpus: [] } },
};

const context: CommandLineContext = {
  capabilities,
  domainDir: '/run/guest',
  shortName: '1-guest',
  monitor: { path: '/run/guest/monitor.sock' },
  descriptor: () => 7,
  tapsByName: true,
  vhostNet: false,
  environment: { PATH: '/usr/bin:/bin' },
  memoryDir: '/run/memory',
  runDir: '/run/helpers',
  now: { seconds: 1_234_567_890, zoneOffset: 0 },
};

const identities = {
  newDefinition: true,
  newUuid: () => 'd7f8d6bd-1c4a-4f5d-9d43-7ef5a6d2d2c8',
  newMac: () => '52:54:00:11:22:33',
};

function toLine(domain: Domain): string {
  const live = prepareForStart(prepareDomain(domain, capabilities, identities), { channelDir: '/run/guest' });
  const { args, env } = buildCommandLine(live, context);
  return formatInvocation({ env, program: emulator, args });
}

const document = (type: string, devices: string, inside = ''): string => `<domain type='qemu'><name>a, 'b' $c</name>
  <memory unit='MiB'>256</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='${type}'>hvm</type></os>
  <features><acpi/></features>${inside}<devices><emulator>${emulator}</emulator>${devices}</devices></domain>`;

const disk = (file: string, target: string, rest = ''): string =>
  `<disk type='file'><driver name='qemu' type='qcow2' cache='none' discard='unmap'/><source file='/i/${file}'/>
  <backingStore/><target ${target}/>${rest}</disk>`;

const ordinary = `${disk('a,b.qcow2', "dev='vda' bus='virtio'", '<serial>one two</serial>')}
  <disk type='file'><driver name='qemu' type='qcow2'/><source file='/i/top.qcow2'/>
    <backingStore type='file'><format type='raw'/><source file='/i/base.raw'/><backingStore/></backingStore>
    <target dev='vdb' bus='virtio'/></disk>
  <interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
  <interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/><target dev='tap7'/><model type='e1000'/></interface>
  <serial type='pty'/><serial type='file'><source path='/log/serial' append='on'/></serial>
  <console type='pty'><target type='virtio'/></console>
  <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  <input type='tablet' bus='usb'/><graphics type='vnc' port='5907'><listen type='address' address='127.0.0.1'/></graphics>
  <video><model type='vga'/></video><sound model='ich6'/><memballoon model='virtio'/>
  <rng model='virtio'><rate bytes='1000' period='1000'/><backend model='random'>/dev/urandom</backend></rng>`;

const guests: readonly (readonly [what: string, xml: string])[] = [
  ['a Q35 guest with what most guests have', document('q35', `${ordinary}${disk('c', "dev='sda' bus='sata'")}`)],
  [
    'a PC guest with old buses',
    document(
      'pc',
      `${ordinary}${disk('c', "dev='hda' bus='ide'")}<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>`,
    ),
  ],
  [
    'a guest with a SCSI bus, a watchdog and a shared folder',
    document(
      'q35',
      `<controller type='scsi' model='virtio-scsi'/>${disk('a', "dev='sda' bus='scsi'")}<watchdog model='i6300esb' action='poweroff'/>
      <panic model='isa'/><tpm model='tpm-crb'><backend type='external'><source type='unix' mode='connect' path='/run/t'/></backend></tpm><filesystem type='mount' accessmode='mapped'><source dir='/srv'/><target dir='tag'/></filesystem>
      <memballoon model='none'/><graphics type='vnc' socket='/run/v.sock'/><video><model type='virtio' heads='1'/></video>`,
    ),
  ],
  [
    'a guest with a processor, clocks and memory of its own making',
    document(
      'q35',
      `<memballoon model='none'/><controller type='usb' model='none'/>`,
      `<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
      <cpu mode='custom' match='exact'><model fallback='forbid'>Nehalem</model><topology sockets='1' cores='2' threads='1'/>
        <feature policy='require' name='aes'/><feature policy='disable' name='lahf_lm'/></cpu>
      <clock offset='localtime'><timer name='rtc' tickpolicy='catchup'/><timer name='hpet' present='no'/></clock>
      <on_reboot>restart</on_reboot><pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>`,
    ),
  ],
  [
    'a guest that boots firmware from flash',
    document('q35', "<memballoon model='none'/>").replace(
      '</os>',
      `<loader readonly='yes' type='pflash'>/fw/code.fd</loader><nvram>/fw/vars.fd</nvram><bootmenu enable='yes' timeout='300'/></os>`,
    ),
  ],
  [
    'a guest that boots a kernel',
    document('pc', "<memballoon model='none'/>").replace(
      '</os>',
      "<kernel>/k</kernel><initrd>/i</initrd><cmdline>console=ttyS0 x='a b'</cmdline></os>",
    ),
  ],
];

test.each(guests)('%s is the same guest after its command line was read back', (_what, xml) => {
  const line = toLine(parseDomain(xml, { mode: 'inactive' }).domain);
  const { domain, warnings } = domainFromQemuArgv(line);
  expect(warnings).toEqual([]);
  expect(domain.qemuCommandline).toBeUndefined();
  expect(toLine(domain)).toBe(line);
});
