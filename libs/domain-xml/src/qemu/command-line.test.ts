import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VirtError } from '@virtbus/shared';
import type { MachineType, QemuCapabilities } from '../capabilities';
import { parseDomain } from '../parse-domain';
import { prepareDomain } from '../passes/prepare';
import { buildCommandLine } from './command-line';
import type { CommandLineContext, QemuCommandLine } from './context';
import { prepareForStart } from './start-preparation';

const binary = '/usr/bin/qemu-system-x86_64';

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

/** QEMU 7.2, as far as the command line looks at it. */
const capabilities: QemuCapabilities = {
  emulator: binary,
  version: 7002022,
  package: '',
  arch: 'x86_64',
  flags: new Set([
    'device.json+hotplug',
    'netdev.json',
    'thread-context',
    'piix3-usb-uhci',
    'qemu-xhci',
    'pci-bridge',
    'pcie-pci-bridge',
    'virtio-scsi-pci',
    'virtio-vga',
    'cirrus-vga',
  ]),
  accelerators: { tcg: { machines: [machine('pc'), machine('q35')], cpus: [] } },
};

const context: CommandLineContext = {
  capabilities,
  domainDir: '/run/guest',
  shortName: '1-guest',
  monitor: { path: '/run/guest/monitor.sock' },
  descriptor: () => 7,
  environment: { PATH: '/usr/bin:/bin' },
  memoryDir: '/run/memory',
  runDir: '/run/helpers',
  now: { seconds: 1_234_567_890, zoneOffset: 3600 },
};

interface Options {
  machine?: string;
  inside?: string;
  name?: string;
  context?: Partial<CommandLineContext>;
}

function build(
  devices: string,
  { machine: type = 'q35', inside = '', name = 'guest', ...given }: Options = {},
): QemuCommandLine {
  const xml = `<domain type='qemu'><name>${name}</name><memory unit='MiB'>64</memory><vcpu>2</vcpu>
    <os><type arch='x86_64' machine='${type}'>hvm</type></os><features><acpi/></features>${inside}
    <devices><emulator>${binary}</emulator>${devices}</devices></domain>`;
  const { domain } = parseDomain(xml, { mode: 'inactive' });
  const prepared = prepareDomain(domain, capabilities, {
    newDefinition: true,
    newUuid: () => 'd7f8d6bd-1c4a-4f5d-9d43-7ef5a6d2d2c8',
    newMac: () => '52:54:00:11:22:33',
  });
  return buildCommandLine(prepareForStart(prepared, { channelDir: '/run/guest' }), { ...context, ...given.context });
}

/** All values of one option, JSON ones parsed. */
const values = ({ args }: QemuCommandLine, option: string): unknown[] =>
  args.flatMap((word, index) => {
    const value = args[index + 1] ?? '';
    return word === option ? [value.startsWith('{') ? (JSON.parse(value) as unknown) : value] : [];
  });

const refusal = (run: () => unknown): VirtError => {
  try {
    run();
  } catch (error) {
    if (error instanceof VirtError) return error as VirtError;
    throw error;
  }
  throw new Error('accepted');
};

const diskXml = (inside: string, type = 'qcow2', bus = 'virtio'): string =>
  `<disk type='file'><driver name='qemu' type='${type}'/>${inside}<target dev='${bus === 'virtio' ? 'vda' : 'sda'}' bus='${bus}'/></disk>`;

describe('the block graph', () => {
  test('names every image of a chain, deepest first, and ends it', () => {
    const line = build(
      diskXml(`<source file='/i/top.qcow2'/><backingStore type='file'><format type='raw'/><source file='/i/base.raw'/>
        <backingStore/></backingStore>`),
    );
    expect(values(line, '-blockdev')).toEqual([
      {
        driver: 'file',
        filename: '/i/base.raw',
        'node-name': 'libvirt-2-storage',
        'auto-read-only': true,
        discard: 'unmap',
      },
      { 'node-name': 'libvirt-2-format', 'read-only': true, driver: 'raw', file: 'libvirt-2-storage' },
      {
        driver: 'file',
        filename: '/i/top.qcow2',
        'node-name': 'libvirt-1-storage',
        'auto-read-only': true,
        discard: 'unmap',
      },
      {
        'node-name': 'libvirt-1-format',
        'read-only': false,
        driver: 'qcow2',
        file: 'libvirt-1-storage',
        backing: 'libvirt-2-format',
      },
    ]);
    expect(line.disks).toMatchObject([{ target: 'vda', top: 'libvirt-1-format' }]);
    expect(line.nextIndex).toBe(3);
    expect(line.domain.devices.disks[0]?.source?.index).toBe(1);
  });

  test('is refused for an image of whose chain nothing is known, because QEMU would probe it', () => {
    const error = refusal(() => build(diskXml("<source file='/i/top.qcow2'/>")));
    expect(error.code).toBe('CONFIG_UNSUPPORTED');
    expect(error.message).toContain('/i/top.qcow2');
  });

  test('keeps numbers that images already have', () => {
    const { domain } = build(diskXml("<source file='/i/a.raw'/>", 'raw'));
    const again = buildCommandLine(domain, context);
    expect(again.disks[0]?.top).toBe('libvirt-1-format');
    expect(again.nextIndex).toBe(2);
  });

  test('keeps all digits of a WWN', () => {
    const xml = `<disk type='file'><driver name='qemu' type='raw'/><source file='/i/a.raw'/><target dev='sda' bus='scsi'/>
      <wwn>5000c50015ea71ad</wwn></disk><controller type='scsi' model='virtio-scsi'/>`;
    expect(build(xml).args.some((word) => word.includes('"wwn":5764824127192592813'))).toBe(true);
  });
});

test('a secret that nobody can give to QEMU is told by name', () => {
  const xml = diskXml(
    `<source file='/i/a.raw'><encryption format='luks'>
    <secret type='passphrase' uuid='0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f'/></encryption></source>`,
    'raw',
  );
  expect(refusal(() => build(xml)).message).toContain('0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f');
});

test('commas in names and paths end no option', () => {
  const line = build(`<serial type='file'><source path='/log/a,server=on'/></serial>`, { name: 'a,b' });
  expect(values(line, '-name')).toEqual(['guest=a,,b,debug-threads=on']);
  expect(values(line, '-chardev')).toContain('file,id=charserial0,path=/log/a,,server=on');
});

test('what the caller has to open is listed with its number', () => {
  const xml = `<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>`;
  let next = 10;
  const line = build(xml, { context: { descriptor: () => next++ } });
  expect(line.descriptors).toEqual([
    { fd: 10, use: { kind: 'tap', alias: 'net0', queue: 0 } },
    { fd: 11, use: { kind: 'vhost-net', alias: 'net0', queue: 0 } },
  ]);
  expect(values(line, '-netdev')).toEqual([{ type: 'tap', fd: '10', vhost: true, vhostfd: '11', id: 'hostnet0' }]);
});

test('channels without a path listen in the folder of the guest', () => {
  const line = build(`<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`);
  expect(values(line, '-chardev')).toContain(
    'socket,id=charchannel0,path=/run/guest/org.qemu.guest_agent.0,server=on,wait=off',
  );
});

test('a clock that runs apart starts at its own time', () => {
  const inside = "<clock offset='variable' adjustment='60' basis='utc'/>";
  expect(values(build('', { inside }), '-rtc')).toEqual(['base=2009-02-13T23:32:30']);
});

test('a display that has no port yet is refused', () => {
  const xml = "<graphics type='vnc' autoport='yes'/>";
  expect(refusal(() => build(xml)).message).toContain('no port was chosen for VNC');
});

/** Starts QEMU and returns what it says about the guest, or its complaint. */
async function statusOf(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const qemu = spawn(binary, [...args, '-qmp', 'stdio'], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  try {
    let complaint = '';
    qemu.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    qemu.stdin.on('error', () => undefined);
    qemu.stdin.write('{"execute":"qmp_capabilities"}\n{"execute":"query-status"}\n');
    let said = '';
    for await (const chunk of qemu.stdout) {
      said += String(chunk);
      const status = /"status": ?"([\w-]+)"/.exec(said)?.[1];
      if (status !== undefined) return status;
    }
    return complaint;
  } finally {
    qemu.kill('SIGKILL');
  }
}

const hasQemu = spawnSync(binary, ['--version']).status === 0;
if (!hasQemu) console.warn(`skipped: QEMU accepts the command line of an ordinary guest (needs ${binary})`);

(hasQemu ? describe : describe.skip)('QEMU accepts the command line of an ordinary guest', () => {
  test.each([
    ['q35', 'sata'],
    ['pc', 'ide'],
  ])(
    'on %s',
    async (machineName, bus) => {
      const folder = mkdtempSync(join(tmpdir(), 'vb-'));
      try {
        for (const name of ['a.raw', 'b.raw', 'c.raw']) writeFileSync(join(folder, name), Buffer.alloc(1 << 20));
        const devices = `
          ${diskXml(`<source file='${folder}/a.raw'/><serial>a b</serial>`, 'raw')}
          ${diskXml(`<source file='${folder}/b.raw'/>`, 'raw', bus)}
          <disk type='file'><driver name='qemu' type='raw' cache='none' discard='unmap' detect_zeroes='unmap'/>
            <source file='${folder}/c.raw'/><target dev='sdb' bus='scsi'/><wwn>5000c50015ea71ad</wwn></disk>
          <disk type='file' device='cdrom'><target dev='sdc' bus='scsi'/></disk>
          <controller type='scsi' model='virtio-scsi'/>
          <interface type='user'><model type='virtio'/></interface><interface type='user'><model type='e1000'/></interface>
          <serial type='pty'/><console type='pty'><target type='virtio'/></console>
          <channel type='unix'><source mode='bind' path='${folder}/agent.sock'/>
            <target type='virtio' name='org.qemu.guest_agent.0'/></channel>
          <input type='tablet' bus='usb'/><graphics type='vnc'><listen type='socket' socket='${folder}/vnc.sock'/></graphics>
          <video><model type='vga'/></video><sound model='ich6'/>
          <rng model='virtio'><rate bytes='1000' period='1000'/><backend model='random'>/dev/urandom</backend></rng>
          <memballoon model='virtio' autodeflate='on'/><watchdog model='i6300esb' action='poweroff'/>
          <panic model='isa'/><filesystem type='mount'><source dir='${folder}'/><target dir='tag'/></filesystem>`;
        const inside = `<cputune/><clock offset='utc'><timer name='rtc' tickpolicy='catchup'/>
          <timer name='hpet' present='no'/></clock><pm><suspend-to-mem enabled='no'/></pm>`;
        const line = build(devices, {
          machine: machineName,
          inside,
          name: 'a, b',
          context: { domainDir: folder, monitor: { path: join(folder, 'monitor.sock') } },
        });
        expect(await statusOf(line.args, line.env)).toBe('prelaunch');
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    20_000,
  );
});
