import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { QemuCapabilities } from '../capabilities';
import { parseDevice } from '../device';
import type { Domain } from '../elements/domain';
import { parseDomain } from '../parse-domain';
import { prepareDomain } from '../passes/prepare';
import { plugDevice } from '../plug-device';
import { buildCommandLine } from './command-line';
import type { CommandLineContext } from './context';
import { plugPlan, type QmpStep } from './plug';
import { toJson } from './props';
import { prepareForStart } from './start-preparation';

const binary = '/usr/bin/qemu-system-x86_64';
const machine = { name: 'q35', maxCpus: 255, defaultCpu: 'qemu64-x86_64-cpu', defaultRamId: 'pc.ram' };
const capabilities: QemuCapabilities = {
  emulator: binary,
  version: 7002022,
  package: '',
  arch: 'x86_64',
  flags: new Set(['device.json+hotplug', 'netdev.json', 'qemu-xhci', 'pcie-pci-bridge', 'virtio-scsi-pci']),
  accelerators: {
    tcg: {
      machines: [{ ...machine, hotplugCpus: true, numaMemSupported: false, isDefault: true, deprecated: false }],
      cpus: [],
    },
  },
};

const contextIn = (folder: string): CommandLineContext => ({
  capabilities,
  domainDir: folder,
  shortName: '1-guest',
  monitor: { path: join(folder, 'monitor.sock') },
  descriptor: () => 7,
  environment: { PATH: '/usr/bin:/bin' },
  memoryDir: folder,
  runDir: folder,
  now: { seconds: 0, zoneOffset: 0 },
});

function runningGuest(folder: string): Domain {
  const rootPorts = Array.from(
    { length: 10 },
    (_, i) => `<controller type='pci' index='${i + 1}' model='pcie-root-port'/>`,
  ).join('');
  const xml = `<domain type='qemu'><name>guest</name><maxMemory slots='2' unit='MiB'>512</maxMemory>
    <memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
    <cpu><numa><cell id='0' cpus='0' memory='64' unit='MiB'/></numa></cpu>
    <devices><emulator>${binary}</emulator>${rootPorts}<controller type='pci' index='11' model='pcie-to-pci-bridge'/>
    <controller type='scsi' model='virtio-scsi'/>
    <controller type='usb' model='qemu-xhci'/><controller type='virtio-serial'/></devices></domain>`;
  const { domain } = parseDomain(xml, { mode: 'inactive' });
  return prepareForStart(prepareDomain(domain, capabilities, { newDefinition: true }), { channelDir: folder });
}

const devices = (folder: string): [family: string, xml: string][] => [
  [
    'virtio disk with a backing image',
    `<disk type='file'><driver name='qemu' type='qcow2'/><source file='${folder}/top.qcow2'/>
      <backingStore type='file'><format type='raw'/><source file='${folder}/base.raw'/><backingStore/></backingStore>
      <target dev='vda' bus='virtio'/></disk>`,
  ],
  [
    'SCSI disk with a WWN',
    `<disk type='file'><driver name='qemu' type='raw'/><source file='${folder}/other.raw'/><target dev='sdb' bus='scsi'/>
      <wwn>5000c50015ea71ad</wwn></disk>`,
  ],
  ['network card', "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>"],
  [
    'channel',
    `<channel type='unix'><source mode='bind' path='${folder}/c.sock'/><target type='virtio' name='c'/></channel>`,
  ],
  ['random source', "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"],
  ['input device', "<input type='tablet' bus='usb'/>"],
  ['DIMM', "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>"],
  ['crypto device', "<crypto model='virtio' type='qemu'><backend model='builtin'/></crypto>"],
  ['watchdog', "<watchdog model='i6300esb' action='none'/>"],
];

/** Speaks QMP over the standard streams of a QEMU. */
class Monitor {
  readonly #lines: AsyncIterator<string>;

  constructor(readonly qemu: ChildProcessWithoutNullStreams) {
    this.#lines = createInterface({ input: qemu.stdout })[Symbol.asyncIterator]();
  }

  async ask({ command, arguments: args }: QmpStep): Promise<unknown> {
    this.qemu.stdin.write(`${toJson({ execute: command, arguments: args })}\n`);
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error('QEMU has ended');
      const message = JSON.parse(value) as { return?: unknown; error?: { desc: string } };
      if (message.error) throw new Error(`${command}: ${message.error.desc}`);
      if (message.return !== undefined) return message.return;
    }
  }
}

const hasQemu = spawnSync(binary, ['--version']).status === 0 && spawnSync('qemu-img', ['--version']).status === 0;
if (!hasQemu) console.warn(`skipped: what is hot-plugged is accepted by a running QEMU (needs ${binary} and qemu-img)`);

(hasQemu ? test : test.skip)(
  'what is hot-plugged is accepted by a running QEMU, and its backends can be taken back',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vb-'));
    const context = contextIn(folder);
    for (const name of ['base.raw', 'other.raw']) writeFileSync(join(folder, name), Buffer.alloc(1 << 20));
    const overlay = ['create', '-q', '-f', 'qcow2', '-b', `${folder}/base.raw`, '-F', 'raw', `${folder}/top.qcow2`];
    expect(spawnSync('qemu-img', overlay).status).toBe(0);
    const line = buildCommandLine(runningGuest(folder), context);
    const qemu = spawn(binary, [...line.args, '-qmp', 'stdio'], { env: line.env });
    try {
      const monitor = new Monitor(qemu);
      await monitor.ask({ command: 'qmp_capabilities', arguments: {} });
      let { domain } = line;
      for (const [family, xml] of devices(folder)) {
        const plugged = plugDevice(domain, parseDevice(xml), capabilities);
        const plan = plugPlan({ domain: plugged.domain, context }, plugged.device);
        for (const step of plan.steps)
          await monitor.ask(step).catch((error: Error) => {
            throw new Error(`${family}: ${error.message}`);
          });
        domain = plan.domain;
      }
      const disk = domain.devices.disks.find(({ target }) => target.dev === 'vda');
      expect([disk?.source?.index, disk?.backingStore?.index]).toEqual([1, 2]);
      const spare = plugDevice(domain, parseDevice(devices(folder)[4]?.[1] ?? ''), capabilities);
      const { steps } = plugPlan({ domain: spare.domain, context }, spare.device);
      const backends = steps.filter(({ command }) => command !== 'device_add');
      for (const step of backends) await monitor.ask(step);
      for (const { undo } of backends.reverse()) await monitor.ask(undo);
    } finally {
      qemu.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  },
  20_000,
);
