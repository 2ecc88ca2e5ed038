/** The machine itself: name, type, accelerator, memory, processors, clock, what it boots. */
import type { Domain } from '../elements/domain';
import { peek, type Draft, type Sketch } from './draft';
import { NotUnderstood } from './not-understood';
import { readCpu } from './cpu';
import { readMachineFlash } from './flash';
import { addTimer } from './timers';
import type { NativeOption } from './invocation';
import { Values } from './values';

/** Architectures by the name of the emulator, where libvirt's name is another. */
const architectures: Readonly<Record<string, string>> = { i386: 'i686', arm: 'armv7l' };

export function readMachine(draft: Draft): void {
  const { domain } = draft;
  readEmulator(draft);
  draft.each(['-name'], (value) => readName(draft, value));
  draft.each(['-uuid'], (value) => void (domain.uuid = value));
  readMachineOptions(draft);
  draft.each(['-accel'], (value) => accelerate(draft, Values.read(value, 'accel')));
  draft.each(['-enable-kvm'], () => void (domain.type = 'kvm'));
  readCpu(draft);
  readMemory(draft);
  readThreads(draft);
  for (const option of draft.open('-smp')) draft.understand(option, (_, values) => readProcessors(domain, values));
  readClock(draft);
  draft.each(['-no-acpi'], () => void delete domain.features?.acpi);
  draft.each(['-no-reboot'], () => void (domain.on_reboot = 'destroy'));
  readBoot(draft);
}

function readEmulator({ domain, line }: Draft): void {
  const { emulator } = line;
  const type = domain.os!.type!;
  const name = emulator?.slice(emulator.lastIndexOf('/') + 1) ?? '';
  const arch = /^qemu-system-(\w+)$/.exec(name)?.[1] ?? (name === 'qemu' ? 'i386' : undefined);
  if (arch !== undefined) type.arch = architectures[arch] ?? arch;
  if (/kvm/.test(name)) domain.type = 'kvm';
  if (emulator?.startsWith('/')) domain.devices.emulator = emulator;
  domain.features = { acpi: true };
}

function readName(draft: Draft, value: string): void {
  const values = Values.read(value, 'guest');
  draft.domain.name = values.take('guest');
  values.take('debug-threads');
  mustBeRead(values);
}

function mustBeRead(values: Values): void {
  const unread = values.unread();
  if (unread.length > 0) throw new NotUnderstood(`${unread.join(', ')} has no place in a document`);
}

/** What the document has no word for stays an option of its own, which QEMU joins with ours. */
function readMachineOptions(draft: Draft): void {
  const { domain } = draft;
  draft.each(['-machine', '-M'], (value, option) => {
    const values = Values.read(value, 'type');
    const type = values.take('type');
    if (type !== undefined) domain.os!.type!.machine = type;
    accelerate(draft, values);
    const features = domain.features!;
    const acpi = values.takeFlag('acpi');
    if (acpi === false) delete features.acpi;
    const vmport = values.take('vmport');
    if (vmport === 'on' || vmport === 'off') features.vmport = { state: vmport === 'on' };
    const smm = values.take('smm');
    if (smm === 'on' || smm === 'off') features.smm = { state: smm === 'on' };
    const i8042 = values.takeFlag('i8042');
    if (i8042 !== undefined) features.ps2 = { state: i8042 };
    const chip = values.take('kernel-irqchip');
    if (chip === 'on' || chip === 'split') features.ioapic = { driver: chip === 'on' ? 'kvm' : 'qemu' };
    if (values.take('dump-guest-core') === 'on') domain.memory = { ...domain.memory, dumpCore: true };
    if (values.take('mem-merge') === 'off') domain.memoryBacking = { ...domain.memoryBacking, nosharepages: true };
    const gic = values.take('gic-version');
    if (gic === '2' || gic === '3' || gic === 'host') features.gic = { version: gic };
    const hpet = values.takeFlag('hpet');
    if (hpet !== undefined) addTimer(domain, { name: 'hpet', present: hpet });
    if (values.takeFlag('usb')) insertAfter(draft, option, { flag: '-usb', value: undefined, state: 'open' });
    readMachineMemory(draft, values);
    readMachineFlash(draft, values);
    const left = values.unread();
    if (left.length > 0) insertAfter(draft, option, { flag: '-machine', value: left.join(','), state: 'open' });
  });
}

/** What is left of an option keeps its place on the line. */
function insertAfter({ line }: Draft, option: NativeOption, rest: NativeOption): void {
  line.options.splice(line.options.indexOf(option) + 1, 0, rest);
}

function accelerate({ domain }: Draft, values: Values): void {
  const accelerator = values.take('accel');
  if (accelerator === undefined) return;
  const first = accelerator.split(':')[0];
  if (first !== 'kvm' && first !== 'tcg' && first !== 'hvf')
    throw new NotUnderstood(`accelerator '${accelerator}' is none of kvm, tcg, hvf`);
  domain.type = first === 'tcg' ? 'qemu' : first;
  const cache = values.takeNumber('tb-size');
  if (cache !== undefined) domain.features = { ...domain.features, tcg: { tbCache: cache * 1024 } };
  const ring = values.takeNumber('dirty-ring-size');
  if (ring)
    domain.features = { ...domain.features, kvm: { ...domain.features?.kvm, dirtyRing: { state: true, size: ring } } };
}

const scales: Readonly<Record<string, number>> = { b: 1 / 1024, k: 1, m: 1024, g: 1024 ** 2, t: 1024 ** 3 };

/** KiB of a size such as `512`, `2G`, `65536k`; a bare number is in MiB, or in what `unit` says. */
export function sizeKib(text: string, unit = 'm'): number {
  const match = /^(\d+(?:\.\d+)?)([bkmgt])?i?b?$/i.exec(text);
  if (!match) throw new NotUnderstood(`'${text}' is no size`);
  return Math.ceil(Number(match[1]) * scales[(match[2] ?? unit).toLowerCase()]!);
}

function readMemory(draft: Draft): void {
  const { domain } = draft;
  // What QEMU has unless it is told.
  domain.memory = { ...domain.memory, kib: 128 * 1024 };
  for (const option of draft.open('-m')) {
    draft.understand(option, (_, values) => {
      const kib = sizeKib(values.take('size', 'mem') ?? '128');
      const slots = values.takeNumber('slots');
      const maxmem = values.take('maxmem');
      const most = maxmem === undefined ? undefined : sizeKib(maxmem);
      return () => {
        domain.memory = { ...domain.memory, kib };
        if (most !== undefined) domain.maxMemory = { kib: most, ...(slots !== undefined && { slots }) };
      };
    });
  }
  const backing = (more: Sketch<Domain>['memoryBacking']): void =>
    void (domain.memoryBacking = { ...domain.memoryBacking, ...more });
  draft.each(['-mem-prealloc'], () => backing({ allocation: { mode: 'immediate' } }));
  draft.each(['-overcommit'], (value) => {
    const values = Values.read(value);
    if (values.takeFlag('mem-lock')) backing({ locked: true });
    mustBeRead(values);
  });
}

/** The object that is all of the machine's memory: what kind of memory, and whether another process sees it. */
function readMachineMemory(draft: Draft, values: Values): void {
  const id = values.peek('memory-backend');
  const object = draft.open('-object').find((one) => id !== undefined && peek(one, 'id') === id);
  if (!object) return;
  const understood = draft.understand(object, (_, memory) => {
    const kind = memory.take('qom-type');
    if (kind !== 'memory-backend-ram' && kind !== 'memory-backend-memfd')
      throw new NotUnderstood(`${kind} has no place in a document`);
    for (const known of ['id', 'size', 'x-use-canonical-path-for-ramblock-id']) memory.take(known);
    const share = memory.takeFlag('share');
    const immediate = memory.takeFlag('prealloc');
    const backing: Sketch<Domain>['memoryBacking'] = {
      ...(kind === 'memory-backend-memfd' && { source: { type: 'memfd' } }),
      ...(share !== undefined && { access: { mode: share ? 'shared' : 'private' } }),
      ...(immediate && { allocation: { mode: 'immediate' } }),
    };
    return () => {
      if (Object.keys(backing).length > 0) draft.domain.memoryBacking = { ...draft.domain.memoryBacking, ...backing };
    };
  });
  if (understood) values.take('memory-backend');
}

/** `-object iothread,id=iothread1`: those that are numbered as a document numbers them. */
function readThreads(draft: Draft): void {
  const ids: number[] = [];
  for (const option of draft.open('-object').filter((one) => peek(one, 'qom-type') === 'iothread'))
    draft.understand(option, (_, values) => {
      values.take('qom-type');
      const number = /^iothread([1-9]\d*)$/.exec(values.take('id') ?? '')?.[1];
      if (number === undefined) throw new NotUnderstood('threads of a document have numbers: iothread1, iothread2, …');
      return () => void ids.push(Number(number));
    });
  if (ids.length === 0) return;
  draft.domain.iothreads = ids.length;
  const isPlain = ids.sort((a, b) => a - b).every((id, position) => id === position + 1);
  if (!isPlain) draft.domain.iothreadids = { iothreads: ids.map((id) => ({ id })) };
}

function readProcessors(domain: Draft['domain'], values: Values): () => void {
  const asked = values.takeNumber('cpus');
  const parts = ['sockets', 'dies', 'clusters', 'cores', 'threads'].map((part) => values.takeNumber(part));
  const [sockets, dies = 1, clusters = 1, cores, threads] = parts;
  const product = parts.reduce<number>((all, part) => all * (part ?? 1), 1);
  const most = values.takeNumber('maxcpus') ?? Math.max(asked ?? 1, product);
  const given = parts.some((part) => part !== undefined);
  // One core a socket is what a document without a topology means.
  const isPlain = sockets === most && product === most;
  return () => {
    domain.vcpu = { count: most, ...(asked !== undefined && asked !== most && { current: asked }) };
    if (!given || isPlain) return;
    const known = dies * clusters * (cores ?? 1) * (threads ?? 1);
    domain.cpu = {
      ...domain.cpu,
      topology: {
        sockets: sockets ?? Math.max(1, Math.floor(most / known)),
        dies,
        clusters,
        cores: cores ?? 1,
        threads: threads ?? 1,
      },
    };
  };
}

function readClock(draft: Draft): void {
  const { domain } = draft;
  draft.each(['-localtime'], () => void (domain.clock = { ...domain.clock, offset: 'localtime' }));
  draft.each(['-no-hpet'], () => addTimer(domain, { name: 'hpet', present: false }));
  for (const option of draft.open('-rtc')) {
    draft.understand(option, (_, values) => {
      const base = values.take('base') ?? 'utc';
      const moment = /^\d{4}-/.test(base) ? Date.parse(base.includes('T') ? `${base}Z` : base) / 1000 : undefined;
      if (base !== 'utc' && base !== 'localtime' && !(moment !== undefined && moment >= 0))
        throw new NotUnderstood(`base=${base} is no moment`);
      const clock = values.take('clock');
      const isCatchingUp = values.take('driftfix') === 'slew';
      const track = clock === 'vm' ? 'guest' : clock === 'rt' ? 'realtime' : undefined;
      return () => {
        const offset = moment === undefined ? (base as 'utc' | 'localtime') : 'absolute';
        domain.clock = { ...domain.clock, offset, ...(moment !== undefined && { start: moment }) };
        if (track ?? isCatchingUp)
          addTimer(domain, { name: 'rtc', ...(track && { track }), ...(isCatchingUp && { tickpolicy: 'catchup' }) });
      };
    });
  }
}

const bootDevices: Readonly<Record<string, 'fd' | 'hd' | 'cdrom' | 'network'>> = {
  a: 'fd',
  c: 'hd',
  d: 'cdrom',
  n: 'network',
};

function readBoot(draft: Draft): void {
  const os = draft.domain.os!;
  const file = (flag: string, keep: (path: string) => void): void => draft.each([flag], keep);
  file('-kernel', (path) => void (os.kernel = path));
  file('-initrd', (path) => void (os.initrd = path));
  file('-append', (words) => void (os.cmdline = words));
  file('-dtb', (path) => void (os.dtb = path));
  file('-bios', (path) => {
    if (!path.startsWith('/')) throw new NotUnderstood(`'${path}' is a file of QEMU's own folder; give its whole path`);
    os.loader = { type: 'rom', path };
  });
  for (const option of draft.open('-boot')) {
    draft.understand(option, (_, values) => {
      values.take('strict');
      const order = [...(values.take('order') ?? '')].map((letter) => {
        const dev = bootDevices[letter];
        if (!dev) throw new NotUnderstood(`'${letter}' is no device to boot from`);
        return { dev };
      });
      const menu = values.takeFlag('menu');
      const timeout = values.takeNumber('splash-time');
      const again = values.take('reboot-timeout');
      return () => {
        if (order.length > 0) os.boot = order;
        if (menu !== undefined) os.bootmenu = { enable: menu, ...(timeout !== undefined && { timeout }) };
        if (again !== undefined) os.bios = { ...os.bios, rebootTimeout: Number(again) };
      };
    });
  }
}
