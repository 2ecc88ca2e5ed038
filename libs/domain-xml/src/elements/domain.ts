/** `<domain>`: the whole document. */
import {
  element,
  attr,
  leaf,
  one,
  many,
  always,
  text,
  verbatim,
  oneOf,
  string,
  anyString,
  yesNo,
  onOff,
  int,
  uint,
  ulong,
  long,
  kib,
  uuid,
  on,
  hex,
  type Element,
  type Model,
  type ModelOf,
} from '../schema';
import { domainName, nameFault } from '../domain-name';
import { cpu } from './cpu';
import { devices } from './devices';
import { features } from './features';
import { idmap } from './filesystem';
import { lxcNamespace } from './lxc-namespace';
import { os } from './os';
import {
  blkiotune,
  cputune,
  defaultiothread,
  iothreadids,
  maxMemory,
  memory,
  memoryBacking,
  memtune,
  numatune,
  resource,
  throttlegroups,
  vcpu,
  vcpus,
} from './tuning';

export const domainTypes = [
  'qemu',
  'kqemu',
  'kvm',
  'xen',
  'lxc',
  'uml',
  'openvz',
  'test',
  'vmware',
  'hyperv',
  'vbox',
  'phyp',
  'parallels',
  'bhyve',
  'vz',
  'hvf',
] as const;
export type DomainType = (typeof domainTypes)[number];

const timer = element('timer', {
  name: attr(oneOf('platform', 'pit', 'rtc', 'hpet', 'tsc', 'kvmclock', 'hypervclock', 'armvtimer'), {
    required: true,
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown timer name '${raw}'`],
  }),
  present: attr(yesNo),
  tickpolicy: attr(oneOf('delay', 'catchup', 'merge', 'discard')),
  track: attr(oneOf('boot', 'guest', 'wall', 'realtime'), { when: on('name', 'platform', 'rtc') }),
  frequency: attr(ulong, { when: on('name', 'tsc') }),
  mode: attr(oneOf('auto', 'native', 'emulate', 'paravirt', 'smpsafe'), { when: on('name', 'tsc') }),
  catchup: one(element('catchup', { threshold: attr(ulong), slew: attr(ulong), limit: attr(ulong) })),
});

export const clock = element('clock', {
  offset: attr(oneOf('utc', 'localtime', 'variable', 'timezone', 'absolute'), {
    default: 'utc',
    refuse: ['CONFIG_UNSUPPORTED', (raw) => `unknown clock offset '${raw}'`],
  }),
  /** Seconds, or `reset`. */
  adjustment: attr(
    { ...string, parse: (raw) => (raw === 'reset' ? raw : long.parse(raw)?.toString()), expects: "seconds or 'reset'" },
    { when: on('offset', 'utc', 'localtime', 'variable') },
  ),
  basis: attr(oneOf('utc', 'localtime'), { when: on('offset', 'variable') }),
  timezone: attr(string, { when: on('offset', 'timezone') }),
  start: attr(ulong, { when: on('offset', 'absolute') }),
  timers: many(timer),
});
export type Clock = ModelOf<typeof clock>;

const suspend = (name: string) => element(name, { enabled: attr(yesNo) });

const entry = element('entry', { name: attr(string), file: attr(string), value: text(anyString) });
const entries = (name: string) => element(name, { entries: many(entry) });

export const sysinfo = element('sysinfo', {
  type: attr(oneOf('smbios', 'fwcfg'), {
    required: true,
    refuse: ['INTERNAL_ERROR', (raw) => `unknown sysinfo type '${raw}'`],
  }),
  bios: one(entries('bios')),
  system: one(entries('system')),
  baseBoards: many(entries('baseBoard')),
  chassis: one(entries('chassis')),
  oemStrings: one(entries('oemStrings')),
  entries: many(entry),
});

const seclabelFields = {
  type: attr(oneOf('none', 'dynamic', 'static'), { refuse: ['XML_ERROR', (raw) => `invalid security type '${raw}'`] }),
  model: attr(string),
  relabel: attr(yesNo),
  label: leaf(string),
  imagelabel: leaf(string, { live: 'input' }),
  baselabel: leaf(string),
};
export type Seclabel = Model<typeof seclabelFields>;
export const seclabel = element('seclabel', seclabelFields, {
  shape: (model: Seclabel) => (model.type === 'none' ? { ...model, relabel: undefined } : model),
  refine: (model: Seclabel, { line }, context) => {
    model.type ??= 'dynamic';
    model.relabel ??= model.type !== 'none';
    if (model.type === 'dynamic' && !context.live) delete model.label;
    const where = { element: 'seclabel', line };
    if (model.type === 'none' && model.relabel)
      context.fault('CONFIG_UNSUPPORTED', "resource relabeling is not compatible with 'none' label type", where);
    if (model.type === 'dynamic' && !model.relabel)
      context.fault('CONFIG_UNSUPPORTED', 'dynamic label type must use resource relabeling', where);
    if (model.type === 'static' && model.label === undefined)
      context.fault('XML_ERROR', 'missing label for static security label', where);
  },
});

const launchSecurity = element('launchSecurity', {
  type: attr(oneOf('sev', 'sev-snp', 's390-pv'), { required: true }),
  kernelHashes: attr(yesNo),
  authorKey: attr(yesNo),
  vcek: attr(yesNo),
  cbitpos: leaf(uint),
  reducedPhysBits: leaf(uint),
  policy: leaf(hex(4)),
  dhCert: leaf(string),
  session: leaf(string),
  guestVisibleWorkarounds: leaf(string),
  idBlock: leaf(string),
  idAuth: leaf(string),
  hostData: leaf(string),
});

const qemuCommandline = element('qemu:commandline', {
  args: many(element('qemu:arg', { value: attr(anyString, { required: 'No qemu command-line argument specified' }) })),
  envs: many(
    element('qemu:env', {
      name: attr(string, { required: 'No qemu environment name specified' }),
      value: attr(anyString),
    }),
  ),
});
const qemuCapabilities = element('qemu:capabilities', {
  add: many(element('qemu:add', { capability: attr(string, { required: true }) })),
  del: many(element('qemu:del', { capability: attr(string, { required: true }) })),
});
const overrideProperty = element('qemu:property', {
  name: attr(string, { required: true }),
  type: attr(oneOf('string', 'signed', 'unsigned', 'bool', 'remove'), { required: true }),
  value: attr(anyString),
});
const qemuOverride = element('qemu:override', {
  devices: many(
    element('qemu:device', {
      alias: attr(string, { required: true }),
      frontend: one(element('qemu:frontend', { properties: many(overrideProperty) })),
    }),
  ),
});

const perfEvents = [
  'cmt',
  'mbmt',
  'mbml',
  'cpu_cycles',
  'instructions',
  'cache_references',
  'cache_misses',
  'branch_instructions',
  'branch_misses',
  'bus_cycles',
  'stalled_cycles_frontend',
  'stalled_cycles_backend',
  'ref_cpu_cycles',
  'cpu_clock',
  'task_clock',
  'page_faults',
  'context_switches',
  'cpu_migrations',
  'page_faults_min',
  'page_faults_maj',
  'alignment_faults',
  'emulation_faults',
] as const;

const actions = oneOf('destroy', 'restart', 'preserve', 'rename-restart');

const fields = {
  type: attr(oneOf(...domainTypes), {
    required: 'missing domain type attribute',
    refuse: ['XML_ERROR', (raw) => `invalid domain type ${raw}`],
  }),
  id: attr(int({ min: 1 }), { live: true }),
  qemuNamespace: attr(string, { name: 'xmlns:qemu' }),
  lxcNamespaceUri: attr(string, { name: 'xmlns:lxc' }),
  name: leaf(domainName, { required: true, refuse: ['XML_ERROR', (raw) => nameFault(raw) ?? ''] }),
  uuid: leaf(uuid, { refuse: ['INTERNAL_ERROR', (raw) => `malformed uuid element '${raw}'`] }),
  genid: leaf({ ...uuid, parse: (raw: string) => (raw.trim() === '' ? '' : uuid.parse(raw)) }),
  title: leaf(string),
  description: leaf(string),
  metadata: verbatim(),
  maxMemory: one(maxMemory),
  memory: always(memory),
  /** In KiB. */
  currentMemory: leaf(kib),
  blkiotune: one(blkiotune),
  memtune: one(memtune),
  memoryBacking: one(memoryBacking),
  vcpu: always(vcpu),
  vcpus: one(vcpus),
  iothreads: leaf(uint),
  iothreadids: one(iothreadids),
  defaultiothread: one(defaultiothread),
  throttlegroups: one(throttlegroups),
  cputune: one(cputune),
  numatune: one(numatune),
  resource: one(resource),
  sysinfos: many(sysinfo),
  bootloader: leaf(anyString),
  bootloader_args: leaf(string),
  os: always(os),
  idmap: one(idmap),
  features: always(features),
  cpu: one(cpu),
  clock: always(clock),
  on_poweroff: leaf(actions),
  on_reboot: leaf(actions),
  on_crash: leaf(oneOf('destroy', 'restart', 'preserve', 'rename-restart', 'coredump-destroy', 'coredump-restart')),
  on_lockfailure: leaf(oneOf('default', 'poweroff', 'restart', 'pause', 'ignore')),
  pm: one(
    element('pm', { suspendToMem: one(suspend('suspend-to-mem')), suspendToDisk: one(suspend('suspend-to-disk')) }),
  ),
  perf: one(
    element('perf', {
      events: many(
        element('event', {
          name: attr(oneOf(...perfEvents), { required: true }),
          enabled: attr(yesNo, { required: true }),
        }),
      ),
    }),
  ),
  devices: always(devices),
  seclabels: many(seclabel),
  qemuCommandline: one(qemuCommandline),
  qemuCapabilities: one(qemuCapabilities),
  qemuDeprecation: one(
    element('qemu:deprecation', { behavior: attr(oneOf('none', 'omit', 'reject', 'crash'), { required: true }) }),
  ),
  qemuOverride: one(qemuOverride),
  lxcNamespace: one(lxcNamespace, { when: on('type', 'lxc') }),
  keywrap: one(
    element('keywrap', {
      ciphers: many(
        element('cipher', {
          name: attr(oneOf('aes', 'dea'), { required: true }),
          state: attr(onOff, { required: true }),
        }),
      ),
    }),
  ),
  launchSecurity: one(launchSecurity),
};
export type Domain = Model<typeof fields>;

const qemuNamespace = 'http://libvirt.org/schemas/domain/qemu/1.0';
const lxcNamespaceUri = 'http://libvirt.org/schemas/domain/lxc/1.0';

/** Something in QEMU's own namespace will be written. */
const speaksToQemu = ({
  qemuCommandline,
  qemuCapabilities: flags,
  qemuDeprecation,
  qemuOverride: override,
}: Domain): boolean =>
  [qemuCommandline?.args, qemuCommandline?.envs, flags?.add, flags?.del, override?.devices].some(
    (list) => list && list.length > 0,
  ) || qemuDeprecation !== undefined;

export const domain: Element<Domain> = element('domain', fields, {
  refine: (model: Domain) => {
    delete model.qemuNamespace;
    delete model.lxcNamespaceUri;
  },
  shape: (model: Domain) => ({
    ...model,
    ...(speaksToQemu(model) && { qemuNamespace }),
    ...(model.lxcNamespace && { lxcNamespaceUri }),
  }),
});
