/** `<features>`: switches of the machine and of the hypervisor. */
import {
  element,
  attr,
  leaf,
  flag,
  one,
  oneOf,
  string,
  yesNo,
  onOff,
  uint,
  kib,
  prettyBytes,
  type ModelOf,
} from '../schema';

const state = { state: attr(onOff) };
/** `<name state='on|off'/>`. */
const toggle = (name: string, keepEmpty = false) => element(name, state, { keepEmpty });
const required = (name: string) => one(element(name, { state: attr(onOff, { required: true }) }));

const hyperv = element('hyperv', {
  mode: attr(oneOf('custom', 'passthrough')),
  relaxed: required('relaxed'),
  vapic: required('vapic'),
  spinlocks: one(element('spinlocks', { state: attr(onOff, { required: true }), retries: attr(uint) })),
  vpindex: required('vpindex'),
  runtime: required('runtime'),
  synic: required('synic'),
  stimer: one(element('stimer', { state: attr(onOff, { required: true }), direct: required('direct') })),
  reset: required('reset'),
  vendor_id: one(element('vendor_id', { state: attr(onOff, { required: true }), value: attr(string) })),
  frequencies: required('frequencies'),
  reenlightenment: required('reenlightenment'),
  tlbflush: one(
    element('tlbflush', {
      state: attr(onOff, { required: true }),
      direct: required('direct'),
      extended: required('extended'),
    }),
  ),
  ipi: required('ipi'),
  evmcs: required('evmcs'),
  avic: required('avic'),
  emsr_bitmap: required('emsr_bitmap'),
  xmm_input: required('xmm_input'),
});
export type Hyperv = ModelOf<typeof hyperv>;

const kvm = element('kvm', {
  hidden: required('hidden'),
  hintDedicated: one(element('hint-dedicated', { state: attr(onOff, { required: true }) })),
  pollControl: one(element('poll-control', { state: attr(onOff, { required: true }) })),
  pvIpi: one(element('pv-ipi', { state: attr(onOff, { required: true }) })),
  dirtyRing: one(element('dirty-ring', { state: attr(onOff, { required: true }), size: attr(uint) })),
});

const xen = element('xen', {
  e820_host: required('e820_host'),
  passthrough: one(
    element('passthrough', { state: attr(onOff, { required: true }), mode: attr(oneOf('sync_pt', 'share_pt')) }),
  ),
});

/** `<name value='…'/>`. */
const choice = <W extends string>(
  name: string,
  value: { parse: (raw: string) => W | undefined } & Parameters<typeof attr<W>>[0],
) => element(name, { value: attr<W>(value, { required: true }) });

const smm = element('smm', { state: attr(onOff), tseg: leaf(prettyBytes) }, { keepEmpty: true });

export const linuxCapabilities = [
  'audit_control',
  'audit_write',
  'block_suspend',
  'chown',
  'dac_override',
  'dac_read_search',
  'fowner',
  'fsetid',
  'ipc_lock',
  'ipc_owner',
  'kill',
  'lease',
  'linux_immutable',
  'mac_admin',
  'mac_override',
  'mknod',
  'net_admin',
  'net_bind_service',
  'net_broadcast',
  'net_raw',
  'setgid',
  'setfcap',
  'setpcap',
  'setuid',
  'sys_admin',
  'sys_boot',
  'sys_chroot',
  'sys_module',
  'sys_nice',
  'sys_pacct',
  'sys_ptrace',
  'sys_rawio',
  'sys_resource',
  'sys_time',
  'sys_tty_config',
  'syslog',
  'wake_alarm',
] as const;
const capabilities = element('capabilities', {
  policy: attr(oneOf('default', 'allow', 'deny')),
  ...(Object.fromEntries(linuxCapabilities.map((name) => [name, required(name)])) as Record<
    (typeof linuxCapabilities)[number],
    ReturnType<typeof required>
  >),
});

export const features = element('features', {
  acpi: flag(),
  apic: one(element('apic', { eoi: attr(onOff) }, { keepEmpty: true })),
  pae: flag(),
  hap: one(toggle('hap', true)),
  viridian: flag(),
  privnet: flag(),
  hyperv: one(hyperv),
  kvm: one(kvm),
  pvspinlock: one(toggle('pvspinlock', true)),
  capabilities: one(capabilities),
  pmu: one(toggle('pmu', true)),
  vmport: one(toggle('vmport', true)),
  gic: one(
    element(
      'gic',
      {
        version: attr(oneOf('2', '3', 'host'), {
          refuse: ['XML_ERROR', (raw) => `Invalid value for attribute 'version' in element 'gic': '${raw}'.`],
        }),
      },
      { keepEmpty: true },
    ),
  ),
  smm: one(smm),
  ioapic: one(element('ioapic', { driver: attr(oneOf('qemu', 'kvm'), { required: true }) })),
  hpt: one(element('hpt', { resizing: attr(oneOf('enabled', 'disabled', 'required')), maxpagesize: leaf(kib) })),
  vmcoreinfo: one(toggle('vmcoreinfo', true)),
  htm: required('htm'),
  nestedHv: one(element('nested-hv', { state: attr(onOff, { required: true }) })),
  msrs: one(element('msrs', { unknown: attr(oneOf('ignore', 'fault'), { required: true }) })),
  ccfAssist: one(element('ccf-assist', { state: attr(onOff, { required: true }) })),
  xen: one(xen),
  cfpc: one(choice('cfpc', oneOf('broken', 'workaround', 'fixed'))),
  sbbc: one(choice('sbbc', oneOf('broken', 'workaround', 'fixed'))),
  ibs: one(choice('ibs', oneOf('broken', 'workaround', 'fixed-ibs', 'fixed-ccd', 'fixed-na'))),
  tcg: one(element('tcg', { tbCache: leaf(kib, { name: 'tb-cache' }) })),
  asyncTeardown: one(element('async-teardown', { enabled: attr(yesNo, { default: true }) })),
  ras: required('ras'),
  ps2: required('ps2'),
  aia: one(choice('aia', oneOf('none', 'aplic', 'aplic-imsic'))),
});
export type Features = ModelOf<typeof features>;
