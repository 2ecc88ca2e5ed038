/** What is wrong with a definition is told at once: each fault with its line, and with what is allowed or what to do. */
import { VirtError, type ErrorCode } from '@virtbus/shared';
import type { MachineType, QemuCapabilities } from '../capabilities';
import { parseDomain } from '../parse-domain';
import { prepareDomain } from './prepare';

const machine = (name: string, alias: string): MachineType => ({
  name,
  alias,
  maxCpus: 255,
  hotplugCpus: true,
  numaMemSupported: false,
  isDefault: alias === 'pc',
  deprecated: false,
});

const capabilities: QemuCapabilities = {
  emulator: '/usr/bin/qemu-system-x86_64',
  version: 7002022,
  package: '',
  arch: 'x86_64',
  flags: new Set(['piix3-usb-uhci', 'qemu-xhci', 'pci-bridge', 'pcie-pci-bridge', 'virtio-scsi-pci', 'cirrus-vga']),
  accelerators: { tcg: { machines: [machine('pc-i440fx-7.2', 'pc'), machine('pc-q35-7.2', 'q35')], cpus: [] } },
};

interface Parts {
  name?: string;
  memory?: string;
  machine?: string;
  inside?: string;
  devices?: string;
}

/** A guest whose devices begin in line 6. */
const guest = ({ name = 'web', memory = '256', machine: type = 'pc', inside = '', devices = '' }: Parts): string =>
  `<domain type='qemu'>
  <name>${name}</name>
  <memory unit='MiB'>${memory}</memory>
  <os><type machine='${type}'>hvm</type></os>${inside}
  <devices>
${devices}
  </devices>
</domain>`;

const disk = (dev: string, more = ''): string =>
  `<disk><source file='/srv/${dev}'/><target dev='${dev}' bus='virtio'/>${more}</disk>`;
const slot = (number: number): string => `<address type='pci' slot='${number}'/>`;

function refusal(xml: string): VirtError {
  try {
    prepareDomain(parseDomain(xml, { mode: 'inactive' }).domain, capabilities, { newDefinition: true });
  } catch (error) {
    if (error instanceof VirtError) return error as VirtError;
    throw error;
  }
  throw new Error('accepted');
}

const { input, vcpus } = {
  input: "<input type='tablet' bus='usb'><address type='usb' bus='5' port='1'/></input>",
  vcpus: (count: string): string => `<vcpu>${count}</vcpu>`,
};

test.each<[what: string, parts: Parts, code: ErrorCode, ...words: (string | RegExp)[]]>([
  ['a value of the wrong type', { memory: 'lots' }, 'XML_ERROR', 'line 3', "'lots'. Expected non-negative integer"],
  [
    'a word that is none of those allowed',
    { inside: "<clock offset='mars'/>" },
    'CONFIG_UNSUPPORTED',
    'line 4',
    "one of 'utc'",
  ],
  ['a disk without a target', { devices: '<disk/>' }, 'XML_ERROR', 'line 6', "Missing required element 'target'"],
  ['a number out of range', { inside: vcpus('70000') }, 'XML_ERROR', 'line 4', /between \d+ and \d+/],
  ['more vCPUs than the machine has', { inside: vcpus('300') }, 'CONFIG_UNSUPPORTED', 'line 4', 'limit 255'],
  [
    'an address twice',
    { devices: `${disk('vda', slot(5))}\n${disk('vdb', slot(5))}` },
    'XML_ERROR',
    'line 7',
    '0000:00:05.0. Give one of the two another',
  ],
  [
    'a target twice',
    { devices: `${disk('vda')}\n${disk('vda')}` },
    'XML_ERROR',
    'line 7',
    "target 'vda' duplicated",
    'a name of its own',
  ],
  ['an unknown machine', { machine: 'pc-q35-99.9' }, 'CONFIG_UNSUPPORTED', 'line 4', "'pc-q35-99.9'. It has pc, q35"],
  ['a bus that is not there', { devices: input }, 'XML_ERROR', 'line 6', "Add <controller type='usb' index='5'/>"],
  [
    'features that contradict one another',
    { inside: "<features><vmport state='on'/><ps2 state='off'/></features>" },
    'CONFIG_UNSUPPORTED',
    'line 4',
    'vmport feature requires the ps2 feature not to be disabled',
  ],
  [
    'a limit for all traffic beside one for a part',
    {
      devices: disk('vda', '<iotune><total_bytes_sec>5</total_bytes_sec><read_bytes_sec>4</read_bytes_sec></iotune>'),
    },
    'XML_ERROR',
    'line 6',
    'total and read/write of bytes_sec cannot be set at the same time',
  ],
  [
    'a burst that is none',
    {
      devices: disk('vda', '<iotune><read_iops_sec>5</read_iops_sec><read_iops_sec_max>4</read_iops_sec_max></iotune>'),
    },
    'CONFIG_UNSUPPORTED',
    'line 6',
    "value 'read_iops_sec_max' cannot be smaller than 'read_iops_sec'",
  ],
  ['a name of 10 000 characters', { name: 'w'.repeat(10_000) }, 'XML_ERROR', 'line 2', 'at most 200 are allowed'],
])('%s is one clear line', (_what, parts, code, ...words) => {
  const error = refusal(guest(parts));
  expect(error.code).toBe(code);
  expect(error.message).not.toContain('\n');
  expect(error.message.length).toBeLessThan(300);
  for (const word of words) expect(error.message).toMatch(word);
});

test('faults of reading and of comparing are told together', () => {
  const error = refusal(guest({ memory: 'lots', devices: `<disk/>\n${disk('vda')}\n${disk('vda')}` }));
  expect(error.code).toBe('XML_ERROR');
  expect(error.message).toMatch(
    /^XML error: line 3: .*'lots'.*; line 6: .*'target'.*; line 8: target 'vda' duplicated/,
  );
});

test('an unknown machine hides neither a contradiction nor a name that is used twice', () => {
  const features = "<features><vmport state='on'/><ps2 state='off'/></features>";
  const error = refusal(guest({ machine: 'pc-q35-99.9', inside: features, devices: `${disk('vda')}\n${disk('vda')}` }));
  expect(error.code).toBe('CONFIG_UNSUPPORTED');
  expect(error.message).toMatch(/line 4: Emulator .*; line 4: vmport .*; line 7: target 'vda' duplicated/);
});

test('addresses on different buses and the checks are told together, each once', () => {
  const twice = [disk('vda', slot(5)), disk('vdb', slot(5)), disk('vdc', slot(6)), disk('vdd', slot(6)), input];
  const error = refusal(guest({ inside: vcpus('300'), devices: twice.join('\n') }));
  expect(error.code).toBe('CONFIG_UNSUPPORTED');
  expect(error.message.match(/line \d+: /g)).toEqual(['line 4: ', 'line 7: ', 'line 9: ', 'line 10: ']);
});

test('more faults than anybody reads are counted', () => {
  const error = refusal(guest({ devices: Array.from({ length: 50 }, () => '<disk/>').join('\n') }));
  expect(error.message.match(/Missing required/g)).toHaveLength(20);
  expect(error.message).toMatch(/and 30 more faults$/);
});
